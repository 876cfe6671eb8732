"""predictions.csv: what a model answered for every picture of a set, for other programs to read.

Columns: file, split, label (the true one), answer (the likeliest one), familiarity (empty where the model has none),
`probability_<label>` for each label, error (why a picture could not be read; then it has no answer), warning (what is
wrong with one that was answered all the same). Where a run has answered its training pictures out of fold,
`held_out_<label>` for each label, too.
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from fruitcnn.arrays import FloatArray, IntArray
from fruitcnn.outputs import written_whole
from fruitcnn.regular_files import open_regular

_BEFORE = ("file", "split", "label", "answer", "familiarity")
# Figures of the training pictures, by models that had not met them.
HELD_OUT = "held_out"
_PROBABILITY, _HELD_OUT = "probability_", "held_out_"
# A file's name may hold bytes that are no text; they come back as they were.
_NAMES = "surrogateescape"


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model answers for one picture.

    Attributes:
        file: The name of the picture in its set.
        split: Its split. Empty where it has none.
        label: Its true class. Empty where it has none.
        probabilities: The probabilities in the order of the labels. They sum to 1. Empty for an unreadable picture.
        familiarity: The share of known pictures that are at most as familiar. None where the model does not say it.
        error: Why the picture can't be read. Empty where it can.
        held_out: For a training picture, the probabilities by a model that has not learned from it. Else empty.
        warning: What is wrong with a picture that can be read all the same. Empty where nothing is.
    """

    file: str
    split: str
    label: str
    probabilities: tuple[float, ...] = ()
    familiarity: float | None = None
    error: str = ""
    held_out: tuple[float, ...] = ()
    warning: str = ""


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The answers of a model to a set of pictures.

    Attributes:
        labels: The labels of the model.
        rows: A row for each picture.
    """

    labels: tuple[str, ...]
    rows: tuple[Prediction, ...]

    def answer(self, row: Prediction) -> str:
        """Return the likeliest label. It is empty for a picture that can't be read.

        Args:
            row: One of the rows.
        """
        return self.labels[int(np.argmax(row.probabilities))] if row.probabilities else ""

    def readable(self, split: str | None = None) -> "Predictions":
        """Return the rows that have an answer.

        Args:
            split: Only the rows of this split. None takes all.
        """
        kept = (row for row in self.rows if row.probabilities and split in (None, row.split))
        return Predictions(self.labels, tuple(kept))

    def arrays(self) -> tuple[FloatArray, IntArray]:
        """Return the rows as arrays. All must be readable and labelled: call `readable` first.

        Returns:
            The probabilities float64 [N, C], and the true class indices int64 [N].
        """
        index = {label: number for number, label in enumerate(self.labels)}
        probabilities = np.array([row.probabilities for row in self.rows], np.float64).reshape(-1, len(self.labels))
        return probabilities, np.array([index[row.label] for row in self.rows], np.int64)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions.csv whole."""
    with (
        written_whole(path) as temporary,
        temporary.open("w", encoding="utf-8", errors=_NAMES, newline="") as file,
    ):
        # Nine digits hold a float32 exactly: whoever reads them finds the same likeliest label.
        writer = csv.writer(file, lineterminator="\n")
        labels, with_held_out = predictions.labels, any(row.held_out for row in predictions.rows)
        more = [_HELD_OUT + label for label in labels] if with_held_out else []
        writer.writerow([*_BEFORE, *(_PROBABILITY + label for label in labels), "error", "warning", *more])
        for row in predictions.rows:
            familiarity = "" if row.familiarity is None else f"{row.familiarity:.9g}"
            before = [row.file, row.split, row.label, predictions.answer(row), familiarity]
            held_out = _cells(row.held_out, labels) if with_held_out else []
            writer.writerow([*before, *_cells(row.probabilities, labels), row.error, row.warning, *held_out])


def _cells(probabilities: tuple[float, ...], labels: tuple[str, ...]) -> list[str]:
    return [f"{probability:.9g}" for probability in probabilities] or [""] * len(labels)


def is_predictions(path: Path) -> bool:
    """Whether a file is a predictions.csv, by its first line."""
    try:
        with open_regular(path) as file:
            return file.read(100).startswith(",".join(_BEFORE).encode())
    except OSError:
        return False
