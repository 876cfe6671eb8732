"""A network that has learned, as the later stages get it."""

import dataclasses

from fruitcnn.calibration.held_out import Answers, Calibration
from fruitcnn.model import keras


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, from pixels to logits, with its final weights; which epoch they are of; the rows of metrics.csv.

    epoch: None where the last layer was fitted at once; there are no rows then. calibration: None for one that is to be
    calibrated on pictures that were held back. answers: of every split, where they are known already.
    """

    model: keras.Model
    epoch: int | None
    rows: list[dict[str, float]]
    calibration: Calibration | None = None
    answers: dict[str, Answers] | None = None
