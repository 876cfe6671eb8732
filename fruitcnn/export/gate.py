"""The gate: a file gets its name only when it answers as the trained model does.

Files give probabilities, which say nothing once they are saturated (0.99994 against 0.99999 may be a logit's worth of
error). So logits are compared too: logarithms of probabilities are the logits but for one constant a picture, and the
small ones keep their seven digits however close to 1 the largest is.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fruitcnn.card import PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.reference import Reference

Floats = NDArray[np.float32]

# How far two files' other outputs may be apart on the mean, as a share of the largest value, from 1 upwards. The mean,
# because familiarity is a distribution's share, which is steep where few pictures were there to take it from.
OTHERS = 1e-3

# Below it a probability of float32 is no normal number any more: the logarithms end here.
_LOWEST = float(np.log(np.finfo(np.float32).tiny))


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a file may be off. logit: as a share of the largest one, from 1 upwards; probability: as it is."""

    logit: float
    probability: float


@dataclasses.dataclass(frozen=True)
class Parity:
    """How closely one exported file agrees with the trained model: the largest differences on so many images."""

    name: str
    images: int
    logit: float
    probability: float

    def __str__(self) -> str:
        return (
            f"{self.name}: same labels on {self.images} pictures; largest difference of a logit {self.logit:.1e}, "
            f"of a probability {self.probability:.1e}"
        )


def compare(name: str, found: Floats, reference: Reference, tolerance: Tolerance) -> Parity:
    """Compare a file's probabilities [N, C] with the reference. Raises ExportError beyond the tolerance."""
    expected = _log_softmax(reference.logits)
    if found.shape != expected.shape:
        raise ExportError(
            f"gives {found.shape[1:]} numbers a picture for {len(reference.labels)} labels",
            value=name,
            remedy="report this with the recipe",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(found.astype(np.float64))
    scale = max(1.0, float(np.abs(expected).max()))
    logit = float(np.abs(np.maximum(logs, _LOWEST) - np.maximum(expected, _LOWEST)).max()) / scale
    probability = float(np.abs(found - np.exp(expected)).max())
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
    return Parity(name, len(found), logit, probability)


def compare_others(answers: Mapping[str, Mapping[str, Floats]]) -> None:
    """What files answer beside the probabilities must be alike. answers: outputs by name, by the name of the file.

    Raises ExportError where familiarity or evidence differ by more than OTHERS on the mean.
    """
    (first, expected), *rest = answers.items()
    for file, found in rest:
        for name in expected.keys() - {PROBABILITIES}:
            scale = max(1.0, float(np.abs(expected[name]).max()))
            difference = float(np.abs(found[name] - expected[name]).mean()) / scale
            # Written so that a difference that is not a number fails too.
            if not difference <= OTHERS:
                raise ExportError(
                    f"its {name} differs from that of {first} by {difference:.1e} on the mean (allowed: {OTHERS:.0e}); "
                    "nothing was written",
                    value=file,
                    remedy="report this with the recipe: it is a defect of the export",
                )


def _log_softmax(logits: Floats) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _clear_labels(found: Floats, expected: NDArray[np.float64], margin: float) -> int:
    """How many labels differ, where the two likeliest ones are not as good as equal."""
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    return int(((found.argmax(1) != expected.argmax(1)) & (first - second > margin)).sum())
