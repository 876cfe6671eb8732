"""The model as it is before the first epoch."""

import numpy as np
import onnx
import torch

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.fold_heads import PENALTY
from fruitcnn.calibration.held_out import Answers, Features
from fruitcnn.calibration.linear_probe import fit_head
from fruitcnn.config import Config, HeadConfig
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import ConfigError
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.features.backbone import named_backbone
from fruitcnn.features.enough import run_enough
from fruitcnn.features.extractor import Extractor
from fruitcnn.model import TorchForward, build_model, features_model, has_features, keras
from fruitcnn.model.keras_graph import operation_of
from fruitcnn.model.pretrained import freeze_through, with_frozen_statistics
from fruitcnn.progress import part
from fruitcnn.runs.calibrate import calibrate_head, head_folds, remarks_on_folds
from fruitcnn.runs.run import Run
from fruitcnn.runs.trained import Trained
from fruitcnn.terminal import printable
from fruitcnn.training.network import KerasNetwork


def starting_model(config: Config, dataset: Dataset) -> keras.Model:
    """Build the recipe's network, with the weights that it starts from; freeze what the recipe freezes.

    Raises ConfigError, UsageError and ModelError.
    """
    model = build_model(
        config.model.architecture,
        classes=len(dataset.labels),
        size=config.data.size,
        dropout=config.model.dropout,
        weights=config.model.weights,
    )
    if (config.head or config.train.head_first) and not (
        has_features(model) and operation_of(model.outputs[0]).use_bias
    ):
        problem = "does not end in a Dense layer with a bias, whose weights could be fitted"
        raise ConfigError(problem, value=config.model.architecture, remedy="choose another network, or another recipe")
    if config.train.view_size:
        _check_views(model, config, config.train.view_size)
    if config.train.head_first:
        _fit_head_of(model, config, dataset)
    if config.train.batch_norm == "frozen":
        model = with_frozen_statistics(model)
    if config.train.freeze:
        freeze_through(model, config.train.freeze)
    return model


def features_graph(model: keras.Model) -> onnx.ModelProto:
    """From pixels to the input of the model's last Dense layer; its weights must not change afterwards."""
    return to_onnx(keras.Model(model.inputs[0], features_model(model).outputs[0], name=model.name))


def _check_views(model: keras.Model, config: Config, size: int) -> None:
    """Refuse views of a size that the network can't take."""
    try:
        TorchForward(model).eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, ValueError) as error:
        problem = f"{config.model.architecture} of {config.data.size} px takes no views of {size} px"
        raise ConfigError(problem, value="train.view_size", remedy="leave it out") from error


def fit_head_only(model: keras.Model, run: Run) -> Trained:
    """Fit the last layer alone, in place, and calibrate it out of fold."""
    config, dataset, head = run.config, run.dataset, run.config.head or HeadConfig()
    graph = features_graph(model)
    extractor = Extractor(graph)
    features, views = _training_features(extractor, config, dataset)
    pixels = dataset.outside_pixels(config.data.size)
    outside = None if pixels is None else _features(extractor, pixels)
    folds = head_folds(dataset, head, seed=config.seed)
    for line in remarks_on_folds(dataset, folds):
        run.print_line(printable(line))
    fitted, calibration = calibrate_head(Features(features, outside), views, dataset, folds, head, seed=config.seed)
    last = fitted.heads.mean
    operation_of(model.outputs[0]).set_weights([last.kernel, last.bias])
    others = [split for split in dataset.splits if split != TRAIN]
    by_split = {TRAIN: features}
    by_split |= {split: _features(extractor, dataset.pixels(split, config.data.size)) for split in others}
    temperature = calibration.temperature
    answers = {
        split: Answers(found, last.logits(found), fitted.heads.probabilities(found, temperature))
        for split, found in by_split.items()
    }
    network = KerasNetwork(model, fitted.heads, named_backbone(graph))
    return Trained(network, calibration, answers, enough=run_enough(run, by_split, penalty=fitted.penalty))


def _training_features(
    extractor: Extractor, config: Config, dataset: Dataset
) -> tuple[Float32Array, Float32Array | None]:
    """Features [N, D] of the training pictures and, where the recipe wants them, of their mirror images."""
    settings = config.head or HeadConfig()
    pixels = dataset.pixels(TRAIN, config.data.size)
    return _features(extractor, pixels), _features(extractor, pixels, mirrored=True) if settings.mirrored else None


def _fit_head_of(model: keras.Model, config: Config, dataset: Dataset) -> None:
    """Fit the last layer (linear probing, then fine-tuning: Kumar et al. 2022)."""
    features, views = _training_features(Extractor(features_graph(model)), config, dataset)
    rows = [features] if views is None else [features, views]
    targets = np.tile(dataset.targets(TRAIN), len(rows))
    head = fit_head(np.concatenate(rows), targets, classes=len(dataset.labels), penalty=PENALTY)
    operation_of(model.outputs[0]).set_weights([head.kernel, head.bias])


def _features(extractor: Extractor, pixels: PixelRows, *, mirrored: bool = False) -> Float32Array:
    """Features [N, D] of pixels [N, S, S, 3], as a part of the run's bar."""
    with part("features", len(pixels)):
        return extractor.features(pixels, mirrored=mirrored)
