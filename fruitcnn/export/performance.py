"""The gate of smaller files: what a model is worth on the pictures of its run, before and after.

What a smaller file loses depends on the network and on the processor, so none is left that loses too much.
"""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn import checkpoint
from fruitcnn.errors import ExportError
from fruitcnn.export.gate import Parity
from fruitcnn.export.photographs import Photographs
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Identification
from fruitcnn.wording import counted

# Of all pictures: how many more mistakes, and how many more or fewer refusals, a smaller file may make.
MOST_LOST, MOST_REFUSED = 0.005, 0.02
# How far the familiarity of a picture may lie from what it was, on the mean.
MOST_FAMILIARITY = 0.1


@dataclasses.dataclass(frozen=True)
class Performance:
    """What a model makes of M pictures: what part of them it names rightly and refuses, and all that it answers.

    probabilities [M, C]; familiarity [M], 1 where the model does not say.
    """

    accuracy: float
    refused: float
    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]

    @classmethod
    def measure(cls, identifier: Identifier, photographs: Photographs) -> "Performance":
        """Ask a model."""
        answers = [
            answer
            for answer in identifier.identify_many(iter(photographs.pixels))
            # A Rejection can't come: these are pixels.
            if isinstance(answer, Identification)
        ]
        probabilities = np.array([answer.probabilities for answer in answers])
        likeliest = [identifier.card.labels[index] for index in probabilities.argmax(1)]
        right = [label == expected for label, expected in zip(likeliest, photographs.labels, strict=True)]
        refused = [answer.is_unknown for answer in answers]
        familiarity = [1.0 if answer.familiarity is None else answer.familiarity for answer in answers]
        return cls(float(np.mean(right)), float(np.mean(refused)), probabilities, np.array(familiarity))


@dataclasses.dataclass(frozen=True)
class Change:
    """From one model's performance to another's on the same pictures."""

    before: Performance
    after: Performance

    @property
    def familiarity(self) -> float:
        """By how much the familiarity of a picture changed, on the mean."""
        return float(np.abs(self.after.familiarity - self.before.familiarity).mean())

    @property
    def probability(self) -> float:
        """By how much a probability changed at the most."""
        return float(np.abs(self.after.probabilities - self.before.probabilities).max())

    def broken_limit(self) -> str:
        """Which limit does not hold; empty where all do."""
        # Written so that what is not a number breaks them too.
        if not self.before.accuracy - self.after.accuracy <= MOST_LOST:
            return f"loses more than {MOST_LOST:.1%} of accuracy"
        if not abs(self.before.refused - self.after.refused) <= MOST_REFUSED:
            return f"changes what is refused by more than {MOST_REFUSED:.0%} of the pictures"
        if not self.familiarity <= MOST_FAMILIARITY:
            return f"moves the familiarity by more than {MOST_FAMILIARITY}"
        return ""

    def __str__(self) -> str:
        familiarity = f"familiarity off by {self.familiarity:.3f} on the mean"
        return (
            f"accuracy {self.after.accuracy:.2%} ({self.before.accuracy:.2%} before), refused "
            f"{self.after.refused:.2%} ({self.before.refused:.2%}), {familiarity}"
        )


def prove_on_photographs(source: OnnxSource, file: Path) -> Parity:
    """Hold a smaller file against the model that it was made from, on the pictures of the run. Raises ExportError."""
    photographs = source.photographs
    change = Change(source.performance, Performance.measure(Identifier.load(file), photographs))
    name = photographs.name
    figures = f"on {counted(len(photographs.labels), f'{name} picture', f'{name} pictures')} {change}"
    if problem := change.broken_limit():
        raise ExportError(
            f"{problem}: {figures}; nothing was written",
            value=file.name,
            remedy=f"use {checkpoint.ONNX}, or another of the smaller formats",
        )
    share = file.stat().st_size / source.file.stat().st_size
    details = f"{share:.0%} of the bytes of {checkpoint.ONNX}; {figures}"
    return Parity(file.name, len(photographs.labels), change.probability, details=details)
