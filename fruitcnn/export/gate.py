"""The gate: a file gets its name only when it answers as the trained model does.

Files give probabilities, which say nothing once they are saturated (0.99994 against 0.99999 may be a logit's worth of
error). So logits are compared too: logarithms of probabilities are the logits but for one constant a picture, and the
small ones keep their seven digits however close to 1 the largest is.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.card import PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.reference import Reference
from fruitcnn.wording import counted

# Of a file, by name; [N, ...] each.
Outputs = Mapping[str, Float32Array]

# How far two files' other outputs may be apart on the mean, as a share of the largest value, from 1 upwards. The mean,
# because familiarity is a distribution's share, which is steep where few pictures were there to take it from.
OTHER_OUTPUTS = 1e-3

# Below it a probability of float32 is no normal number any more: the logarithms end here.
_LOWEST = float(np.log(np.finfo(np.float32).tiny))


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a file may be off. logit: as a share of the largest one, from 1 upwards; probability: as it is."""

    logit: float
    probability: float

    def or_wider(self, other: "Tolerance") -> "Tolerance":
        """What one of the two allows."""
        return Tolerance(max(self.logit, other.logit), max(self.probability, other.probability))


@dataclasses.dataclass(frozen=True)
class Parity:
    """How closely one exported file or folder agrees with what it was made from, on so many images.

    probability, logit: the largest differences; None for a logit that was not looked at. details: what to say instead.
    """

    name: str
    images: int
    probability: float
    logit: float | None = None
    details: str = ""

    def __str__(self) -> str:
        logit = "" if self.logit is None else f" a logit {self.logit:.1e}, of"
        images = counted(self.images, "picture", "pictures")
        same = f"same labels on {images}; largest difference of{logit} a probability"
        return f"{self.name}: " + (self.details or f"{same} {self.probability:.1e}")


class Gate:
    """What every file that is made from the trained network must pass.

    Its probabilities are compared with the reference; what it answers beside them, with what the first file did.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self._first: tuple[str, Outputs] | None = None

    def check(self, name: str, answers: Outputs, tolerance: Tolerance, rounding: Callable[[], Tolerance]) -> Parity:
        """Compare a file's answers to the reference's pictures. Raises ExportError where they differ too much.

        rounding: called for how far apart rounding alone may bring them, where they differ by more than the tolerance.
        """
        try:
            parity = compare_probabilities(name, answers[PROBABILITIES], self.reference, tolerance)
        except ExportError:
            wider = tolerance.or_wider(rounding())
            parity = compare_probabilities(name, answers[PROBABILITIES], self.reference, wider)
        if self._first is None:
            self._first = name, answers
        compare_other_outputs(name, answers, *self._first)
        return parity


def compare_probabilities(name: str, found: Float32Array, reference: Reference, tolerance: Tolerance) -> Parity:
    """Compare a file's probabilities [N, C] with the reference. Raises ExportError beyond the tolerance."""
    expected = _log_softmax(reference.logits)
    if found.shape != expected.shape:
        raise ExportError(
            f"gives {found.shape[1:]} numbers a picture for {len(reference.labels)} labels",
            value=name,
            remedy="report this with the recipe",
        )
    logit, probability = distance(found, expected)
    labels = _clear_labels(found, np.exp(expected), tolerance.probability)
    # Written so that a difference that is not a number fails too.
    if labels or not (logit <= tolerance.logit and probability <= tolerance.probability):
        raise ExportError(
            f"disagrees with the trained model: {labels} of {len(found)} labels differ, a logit by up to {logit:.1e} "
            f"(allowed: {tolerance.logit:.0e}), a probability by {probability:.1e} (allowed: "
            f"{tolerance.probability:.0e}); nothing was written",
            value=name,
            remedy="report this with the recipe: it is a defect of the export",
        )
    return Parity(name, len(found), probability, logit)


def distance(found: Float32Array, expected: NDArray[np.float64]) -> tuple[float, float]:
    """The largest differences of probabilities [N, C] from the logarithms of others [N, C]: of a logit, as a share of
    the largest one, from 1 upwards, and of a probability.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found.astype(np.float64))
    scale = max(1.0, float(np.abs(expected).max()))
    logit = float(np.abs(np.maximum(logs, _LOWEST) - np.maximum(expected, _LOWEST)).max()) / scale
    return logit, float(np.abs(found - np.exp(expected)).max())


def compare_other_outputs(name: str, found: Outputs, first: str, expected: Outputs) -> None:
    """Compare what two files answer beside the probabilities. name, first: what they are called.

    Raises ExportError where familiarity or evidence differ by more than OTHER_OUTPUTS on the mean.
    """
    for output in expected.keys() - {PROBABILITIES}:
        scale = max(1.0, float(np.abs(expected[output]).max()))
        difference = float(np.abs(found[output] - expected[output]).mean()) / scale
        # Written so that a difference that is not a number fails too.
        if not difference <= OTHER_OUTPUTS:
            raise ExportError(
                f"its {output} differs from that of {first} by {difference:.1e} on the mean (allowed: "
                f"{OTHER_OUTPUTS:.0e}); nothing was written",
                value=name,
                remedy="report this with the recipe: it is a defect of the export",
            )


def _log_softmax(logits: Float32Array) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _clear_labels(found: Float32Array, expected: NDArray[np.float64], margin: float) -> int:
    """How many labels differ, where the two likeliest ones are not as good as equal."""
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    return int(((found.argmax(1) != expected.argmax(1)) & (first - second > margin)).sum())
