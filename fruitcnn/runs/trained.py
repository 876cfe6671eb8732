"""A network that has learned, as the later stages get it."""

import dataclasses
from typing import Protocol

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.held_out import Answers, Calibration
from fruitcnn.card import ModelCard
from fruitcnn.evaluation.enough import Enough
from fruitcnn.export.gate import Gate
from fruitcnn.export.source import TrainedSource
from fruitcnn.image import Pixels


class CalibratedNetwork(Protocol):
    """A network whose answers are calibrated, with all that it will answer."""

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""

    def logits(self, pixels: Pixels) -> Float32Array:
        """Calibrated logits [N, C] of uint8 pixels [N, S, S, 3]: float32, on the CPU."""

    def source(self, card: ModelCard, gate: Gate) -> TrainedSource:
        """What the formats are made from."""


class Network(Protocol):
    """A network, from pixels to logits, with its final weights."""

    @property
    def parameters(self) -> int:
        """How many numbers it has."""

    def calibrated(self, calibration: Calibration) -> CalibratedNetwork:
        """The network with what makes its answers honest."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network that has learned, its calibration, and its answers to every split.

    epoch: that its weights are of; None where the last layer was fitted at once. rows: of metrics.csv, none then.
    enough: what more pictures would bring, where that was measured.
    """

    network: Network
    calibration: Calibration
    answers: dict[str, Answers]
    epoch: int | None = None
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    enough: Enough | None = None
