"""A network of Keras, as the stages after the learning take it."""

import dataclasses

import keras
import onnx
import torch

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.held_out import Calibration
from fruitcnn.calibration.linear_probe import Heads
from fruitcnn.card import EVIDENCE, ModelCard
from fruitcnn.device import on_cpu
from fruitcnn.export.gate import Gate
from fruitcnn.export.source import KerasSource
from fruitcnn.features.answer_graph import answer_graph
from fruitcnn.image import Pixels
from fruitcnn.model import TorchForward, answer_model, features_model
from fruitcnn.runtime import network_input


@dataclasses.dataclass(frozen=True)
class KerasNetwork:
    """See `fruitcnn.runs.trained.Network`. model: from pixels to logits.

    heads: what answers for its last layer. backbone: the graph below it, where that was made and is a `named_backbone`.
    """

    model: keras.Model
    heads: Heads | None = None
    backbone: onnx.ModelProto | None = None

    @property
    def parameters(self) -> int:
        """How many numbers it has learned or started from."""
        return int(self.model.count_params())

    def calibrated(self, calibration: Calibration) -> "CalibratedKerasNetwork":
        """With the outputs that the exported files have."""
        temperature, familiarity = calibration.temperature, calibration.familiarity
        answers = answer_model(self.model, temperature=temperature, familiarity=familiarity, heads=self.heads)
        graph = None
        if self.backbone and self.heads and familiarity and EVIDENCE in answers.output_names:
            graph = answer_graph(self.backbone, self.heads, temperature=temperature, familiarity=familiarity)
        return CalibratedKerasNetwork(self.model, answers, temperature, self.heads, graph)


@dataclasses.dataclass(frozen=True)
class CalibratedKerasNetwork:
    """See `fruitcnn.runs.trained.CalibratedNetwork`. answers: what `answer_model` has made of the model.

    graph: the same, where `answer_graph` has made it.
    """

    model: keras.Model
    answers: keras.Model
    temperature: float
    heads: Heads | None = None
    graph: onnx.ModelProto | None = None

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""
        shapes = (list(output.shape[1:]) for output in self.answers.outputs)
        return dict(zip(self.answers.output_names, shapes, strict=True))

    def logits(self, pixels: Pixels) -> Float32Array:
        """Calibrated logits [N, C] of uint8 pixels [N, S, S, 3]: float32, on the CPU."""
        with on_cpu(), torch.no_grad():
            image = torch.from_numpy(network_input(pixels)).contiguous(memory_format=torch.channels_last)
            if self.heads:
                features = TorchForward(features_model(self.model)).eval()(image)[0].numpy()
                return self.heads.log_probabilities(features, self.temperature)
            logits: Float32Array = (TorchForward(self.model).eval()(image) / self.temperature).numpy()
            return logits

    def source(self, card: ModelCard, gate: Gate) -> KerasSource:
        """What the formats are made from."""
        return KerasSource(self.answers, card, gate, self.graph)
