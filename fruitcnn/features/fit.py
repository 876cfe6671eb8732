"""The recipe `features`: the shipped network's features, computed once, and a last layer fitted to them."""

import dataclasses
import functools

import numpy as np
import onnx

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.familiarity import Familiarity
from fruitcnn.calibration.held_out import Answers, Calibration, Features
from fruitcnn.calibration.linear_probe import Heads
from fruitcnn.card import ModelCard
from fruitcnn.config import HeadConfig
from fruitcnn.dataset.records import TRAIN
from fruitcnn.dataset.store import PixelRows
from fruitcnn.export.gate import Gate
from fruitcnn.features.answer_graph import answer_graph
from fruitcnn.features.backbone import backbone_id, shipped_backbone
from fruitcnn.features.enough import run_enough
from fruitcnn.features.extractor import Extractor
from fruitcnn.features.kept import KeptFeatures
from fruitcnn.features.source import FeaturesSource, output_shapes
from fruitcnn.image import Pixels
from fruitcnn.progress import part, rest_of_the_work
from fruitcnn.runs.calibrate import calibrate_head, head_folds, remarks_on_folds
from fruitcnn.runs.results import write_results
from fruitcnn.runs.run import Run
from fruitcnn.runs.summary import duration
from fruitcnn.runs.trained import Trained
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# What follows the passes through the network, beside them: a guess, for the bar.
AFTERWARDS = 0.25


def fit_features(run: Run) -> None:
    """Compute features, fit and calibrate a last layer, write the results; for what `fits_shipped_network`."""
    config, size = run.config, run.config.data.size
    backbone = shipped_backbone(size)
    extractor = Extractor(backbone, on_first_batch=functools.partial(_tell_the_rest, run))
    run.write_beginning()
    run.print_line(f"fitting the last layer of {config.model.architecture} in {printable(str(run.folder))}")
    if "epochs" in config.train.model_fields_set:
        run.print_line("this recipe has no epochs: its last layer is fitted to the end at once")
    with rest_of_the_work("features", passes(run) * (1 + AFTERWARDS)):
        _fit(backbone, extractor, run)


def _fit(backbone: onnx.ModelProto, extractor: Extractor, run: Run) -> None:
    config, dataset, size = run.config, run.dataset, run.config.data.size
    settings = config.head or HeadConfig()
    features = {split: _features_of(extractor, run, split) for split in dataset.splits}
    if run.keeps_features:
        KeptFeatures.of(run.folder, backbone_id(backbone), size, dataset, features).save()
    outside_pixels = dataset.outside_pixels(size)
    outside = None if outside_pixels is None else _features(extractor, outside_pixels)
    views = _features(extractor, dataset.pixels(TRAIN, size), mirrored=True) if settings.mirrored else None
    folds = head_folds(dataset, settings, seed=config.seed)
    for line in remarks_on_folds(dataset, folds):
        run.print_line(printable(line))
    known = Features(features[TRAIN], outside)
    with part("fitting the last layer", share=0.6):
        fitted, calibration = calibrate_head(known, views, dataset, folds, settings, seed=config.seed)
    network = FeaturesNetwork(backbone, extractor, fitted.heads)
    answers = {split: network.answers(found, calibration.temperature) for split, found in features.items()}
    write_results(Trained(network, calibration, answers, enough=run_enough(run, features, penalty=fitted.penalty)), run)


def passes(run: Run) -> int:
    """How many pictures, mirror images too, the network has to see."""
    head = run.config.head or HeadConfig()
    mirrored = len(run.dataset.in_split(TRAIN)) if head.mirrored else 0
    return len(run.dataset.pictures) - len(run.dataset.kept) + len(run.dataset.outside) + mirrored


def _features(extractor: Extractor, pixels: PixelRows, *, mirrored: bool = False) -> Float32Array:
    """Features [N, D] of pixels [N, S, S, 3], as a part of the run's bar."""
    with part("features", len(pixels)):
        return extractor.features(pixels, mirrored=mirrored)


def _tell_the_rest(run: Run, done: int, seconds: float) -> None:
    """Say what the passes that are left will take, by the seconds of one."""
    if (more := passes(run) - done) > 0:
        left = counted(more, "more pass", "more passes")
        run.print_line(f"{left} through the network: about {duration(seconds * more)}")


def _features_of(extractor: Extractor, run: Run, split: str) -> Float32Array:
    """Features [M, D] of a split's pictures, computed or kept from an earlier run."""
    kept, pixels = run.dataset.kept, run.dataset.pixels(split, run.config.data.size)
    computed = iter(_features(extractor, pixels) if len(pixels) else ())
    pictures = run.dataset.in_split(split)
    return np.stack([next(computed) if one.sha256 not in kept else kept[one.sha256] for one in pictures])


@dataclasses.dataclass(frozen=True)
class FeaturesNetwork:
    """See `fruitcnn.runs.trained.Network`. backbone: what the extractor runs."""

    backbone: onnx.ModelProto
    extractor: Extractor
    heads: Heads

    @property
    def parameters(self) -> int:
        """How many numbers are in the network and its last layers."""
        tensors = sum(int(np.prod(tensor.dims)) for tensor in self.backbone.graph.initializer)
        return tensors + sum(head.kernel.size + head.bias.size for head in self.heads.members)

    def answers(self, features: Float32Array, temperature: float) -> Answers:
        """The answers to pictures by their features [N, D], calibrated by a temperature."""
        return Answers(features, self.heads.mean.logits(features), self.heads.probabilities(features, temperature))

    def calibrated(self, calibration: Calibration) -> "CalibratedFeatures":
        """With the answer head on its graph."""
        fitted = calibration.familiarity
        assert isinstance(fitted, Familiarity)
        graph = answer_graph(self.backbone, self.heads, temperature=calibration.temperature, familiarity=fitted)
        return CalibratedFeatures(graph, self.extractor, self.heads, calibration.temperature)


@dataclasses.dataclass(frozen=True)
class CalibratedFeatures:
    """See `fruitcnn.runs.trained.CalibratedNetwork`. graph: what `answer_graph` has made."""

    graph: onnx.ModelProto
    extractor: Extractor
    heads: Heads
    temperature: float

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""
        return output_shapes(self.graph)

    def logits(self, pixels: Pixels) -> Float32Array:
        """Calibrated logits [N, C] of uint8 pixels [N, S, S, 3], by numpy: the graph has to agree with them."""
        return self.heads.log_probabilities(self.extractor.features(pixels), self.temperature)

    def source(self, card: ModelCard, gate: Gate) -> FeaturesSource:
        """What the formats are made from."""
        return FeaturesSource(self.graph, card, gate)
