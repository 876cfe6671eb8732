"""The gate: a file gets its name only when it answers as the trained model does.

Files give probabilities, which say nothing once they are saturated (0.99994 against 0.99999 may be a logit's worth of
error). So logits are compared too: logarithms of probabilities are the logits but for one constant a picture, and the
small ones keep their seven digits however close to 1 the largest is.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from fruitcnn.arrays import Float32Array, Float64Array
from fruitcnn.card import PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.reference import Reference
from fruitcnn.image import Pixels
from fruitcnn.wording import counted

# Of a file, by name; [N, ...] each.
Outputs = Mapping[str, Float32Array]

# How far two files' other outputs may be apart on the mean, as a share of the largest value, from 1 upwards. The mean,
# because familiarity is a distribution's share, which is steep where few pictures were there to take it from.
OTHER_OUTPUTS = 1e-3

# How far rounding may bring a file at most; beyond it a network has no answers that could be called its own.
_MOST = 1e-2

# Below it a probability of float32 is no normal number any more: the logarithms end here.
_LOWEST = float(np.log(np.finfo(np.float32).tiny))


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a file may be off. logit: as a share of the largest one, from 1 upwards; probability: as it is."""

    logit: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Differences:
    """How far each of N pictures' answers are off, at most. logit, probability: [N]."""

    logit: Float64Array
    probability: Float64Array


class Rounding(Protocol):
    """How far apart two runtimes may bring a network's answers to pictures uint8 [N, S, S, 3]."""

    def probabilities(self, pixels: Pixels) -> Differences:
        """Its probabilities; of logits, as they are."""

    def mean(self, output: str, pixels: Pixels) -> float:
        """Another output, on the mean."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """How closely an exported file or folder agrees with the model that it was made from. `str(parity)` is one line.

    Attributes:
        name: The name of the file or folder.
        images: The number of pictures that were compared.
        probability: The largest difference of a probability.
        logit: The largest difference of a logit. None where logits were not compared.
        details: What `str(parity)` says in place of the differences.
        by_rounding: Whether the differences are larger than usual, yet no larger than rounding alone makes them.
    """

    name: str
    images: int
    probability: float
    logit: float | None = None
    details: str = ""
    by_rounding: bool = False

    def __str__(self) -> str:
        logit = "" if self.logit is None else f" a logit {self.logit:.1e}, of"
        images = counted(self.images, "picture", "pictures")
        same = f"same labels on {images}; largest difference of{logit} a probability"
        why = ", no more than rounding alone changes" if self.by_rounding else ""
        return f"{self.name}: " + (self.details or f"{same} {self.probability:.1e}{why}")


class Gate:
    """What every file that is made from the trained network must pass.

    Its probabilities are compared with the reference; what it answers beside them, with what the first file did.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self._first: tuple[str, Outputs] | None = None

    def check(self, name: str, answers: Outputs, tolerance: Tolerance, rounding: Rounding) -> Parity:
        """Compare a file's answers to the reference's pictures. Raises ExportError where they differ too much.

        rounding: asked where they differ by more than the tolerance.
        """
        parity = compare_probabilities(name, answers[PROBABILITIES], self.reference, tolerance, rounding)
        if self._first is None:
            self._first = name, answers
        compare_other_outputs(name, answers, *self._first, lambda output: rounding.mean(output, self.reference.pixels))
        return parity


def compare_probabilities(
    name: str, found: Float32Array, reference: Reference, tolerance: Tolerance, rounding: Rounding
) -> Parity:
    """Compare a file's probabilities [N, C] with the reference. Raises ExportError beyond the tolerance."""
    expected = _log_softmax(reference.logits)
    if found.shape != expected.shape:
        raise ExportError(
            f"gives {found.shape[1:]} numbers a picture for {len(reference.labels)} labels",
            value=name,
            remedy="report this with the recipe",
        )
    off, scale = differences(found, expected), max(1.0, float(np.abs(expected).max()))
    off = Differences(off.logit / scale, off.probability)
    logit, probability = np.full(len(found), tolerance.logit), np.full(len(found), tolerance.probability)
    # Written so that a difference that is not a number is too far, too.
    far = ~((off.logit <= logit) & (off.probability <= probability))
    if far.any():
        wider = rounding.probabilities(reference.pixels[far])
        logit[far] = np.maximum(logit[far], np.minimum(wider.logit / scale, _MOST))
        probability[far] = np.maximum(probability[far], np.minimum(wider.probability, _MOST))
    labels = _clear_labels(found, np.exp(expected), probability)
    share = np.maximum(off.logit / logit, off.probability / probability)
    if labels or not share.max() <= 1:
        worst = share.argmax()
        raise ExportError(
            f"disagrees with the trained model: {labels} of {len(found)} labels differ, a logit by up to "
            f"{off.logit[worst]:.1e} (allowed: {logit[worst]:.0e}), a probability by {off.probability[worst]:.1e} "
            f"(allowed: {probability[worst]:.0e}); nothing was written",
            value=name,
            remedy="report this with the recipe: it is a defect of the export",
        )
    largest = float(off.probability.max()), float(off.logit.max())
    return Parity(name, len(found), *largest, by_rounding=bool(far.any()))


def differences(found: Float32Array, expected: Float64Array) -> Differences:
    """How far probabilities [N, C] are off from the logarithms of others [N, C]; of a logit, as it is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found.astype(np.float64))
    logit = np.abs(np.maximum(logs, _LOWEST) - np.maximum(expected, _LOWEST)).max(axis=1)
    return Differences(logit, np.abs(found - np.exp(expected)).max(axis=1))


def compare_other_outputs(
    name: str, found: Outputs, first: str, expected: Outputs, rounding: Callable[[str], float]
) -> None:
    """Compare what two files answer beside the probabilities. name, first: what they are called.

    rounding: how far apart rounding alone may bring an output, asked where it is further than OTHER_OUTPUTS. Raises
    ExportError where familiarity or evidence differ by more than both on the mean.
    """
    for output in expected.keys() - {PROBABILITIES}:
        scale = max(1.0, float(np.abs(expected[output]).max()))
        difference = float(np.abs(found[output] - expected[output]).mean()) / scale
        # Written so that a difference that is not a number fails too.
        if not difference <= OTHER_OUTPUTS and not difference <= min(rounding(output) / scale, _MOST):
            raise ExportError(
                f"its {output} differs from that of {first} by {difference:.1e} on the mean (allowed: "
                f"{OTHER_OUTPUTS:.0e}); nothing was written",
                value=name,
                remedy="report this with the recipe: it is a defect of the export",
            )


def _log_softmax(logits: Float32Array) -> Float64Array:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: Float64Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _clear_labels(found: Float32Array, expected: Float64Array, margin: Float64Array) -> int:
    """How many labels differ, where the two likeliest ones are not as good as equal. margin: [N]."""
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    return int(((found.argmax(1) != expected.argmax(1)) & (first - second > margin)).sum())
