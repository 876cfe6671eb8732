"""How the error of a last layer falls with the number of pictures that it learns from, and what more would bring.

The error of parts of a set is measured on what was left out of each, and a power law (Cortes et al. 1993; Hestness et
al. 2017) is laid through it, whose interval comes from drawing the pictures, near-duplicates together, and the parts
anew (Efron 1979). Beyond three times the pictures at hand such forecasts fail, so none is given.
"""

import dataclasses

import numpy as np

from fruitcnn.arrays import BoolArray, Float32Array, FloatArray, IntArray
from fruitcnn.calibration.linear_probe import Part, fit_heads
from fruitcnn.progress import tracked

# How many times the pictures at hand a forecast reaches.
REACH = 3
# Parts of the set that are learned from, as shares: less follows another law, and a fifth is left to judge by.
_SHARES = (0.2, 0.27, 0.35, 0.46, 0.61, 0.8)
_RESAMPLES = 400
# The slope at which a layer is fitted: of 1,704 photographs four answers in ten thousand are others than at the
# optimum, in two fifths of the time.
_FLAT = 1e-4
# Of an 80 % interval.
_QUANTILES = (0.1, 0.9)
# Slopes of the power law: errors don't rise with more pictures, and fall no faster than their number grows.
_FLATTEST, _STEEPEST = 0.0, -1.0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """An error, 0 to 1, and its 80 % interval."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """What was measured of N pictures in R repetitions.

    sizes: pictures that were learned from, [S]; tested: whether a picture was left out of a part, [R, S, N]; wrong:
    whether it was answered wrongly then; targets, groups: class indices, and numbers of near-duplicates, [N].
    """

    sizes: IntArray
    tested: BoolArray
    wrong: BoolArray
    targets: IntArray
    groups: IntArray

    def errors(self, label: int | None = None) -> FloatArray:
        """The error [S] of all pictures, or of those of a class."""
        return _errors(self.wrong, self.tested, self._members(label))

    def mistakes(self, label: int | None = None) -> int:
        """How many pictures were answered wrongly at least once by what had learned from most."""
        return int((self.wrong[:, -1].any(axis=0) & (self._members(label) > 0)).sum())

    def forecasts(self, pictures: FloatArray, label: int | None = None, *, seed: int = 0) -> list[Forecast]:
        """The error of all pictures, or of those of a class, with so many to learn from, [K]."""
        rng, members = np.random.default_rng(seed), self._members(label)
        names, which = np.unique(self.groups, return_inverse=True)
        drawn = []
        for _ in range(_RESAMPLES):
            weights = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[which]
            chosen = rng.integers(len(self.wrong), size=len(self.wrong))
            errors = _errors(self.wrong[chosen], self.tested[chosen], weights * members)
            drawn.append(_power_law(self.sizes, errors, pictures))
        low, high = np.quantile(np.array(drawn), _QUANTILES, axis=0)
        values = _power_law(self.sizes, self.errors(label), pictures)
        return [Forecast(*map(float, row)) for row in zip(values, low, high, strict=True)]

    def _members(self, label: int | None) -> FloatArray:
        return np.ones(len(self.targets)) if label is None else (self.targets == label).astype(np.float64)


def measure_curve(
    features: Float32Array,
    targets: IntArray,
    groups: IntArray,
    *,
    classes: int,
    penalty: float,
    repetitions: int = 10,
    seed: int = 0,
) -> LearningCurve:
    """Fit a last layer to parts of a set: features [N, D], class indices [N], near-duplicates' numbers [N]."""
    rng, count = np.random.default_rng(seed), len(targets)
    sizes = np.unique([round(share * count) for share in _SHARES])
    tested = np.zeros((repetitions, len(sizes), count), bool)
    wrong = np.zeros_like(tested)
    for number in tracked(range(repetitions), "measuring the learning curve", total=repetitions):
        order = _by_chance(groups, rng)
        parts = [Part(np.isin(np.arange(count), order[:size]), penalty) for size in sizes.tolist()]
        heads = fit_heads(features, targets, parts, classes=classes, flat=_FLAT)
        for step, (size, head) in enumerate(zip(sizes.tolist(), heads, strict=True)):
            # Its last picture may have near-duplicates among the others.
            rest = order[size:]
            rest = rest[groups[rest] != groups[order[size - 1]]]
            tested[number, step, rest] = True
            wrong[number, step, rest] = head.logits(features[rest]).argmax(axis=1) != targets[rest]
    return LearningCurve(sizes, tested, wrong, targets, groups)


def _by_chance(groups: IntArray, rng: np.random.Generator) -> IntArray:
    """All pictures in an order by chance, those of one group next to each other."""
    names, which = np.unique(groups, return_inverse=True)
    return np.argsort(rng.permutation(len(names))[which], kind="stable")


def _errors(wrong: BoolArray, tested: BoolArray, weights: FloatArray) -> FloatArray:
    """The weighed error [S] over repetitions. Half a mistake more of one picture more: no mistake is not no error."""
    mistakes, judged = (found.sum(axis=0) @ weights / len(found) for found in (wrong, tested))
    errors: FloatArray = (mistakes + 0.5) / (judged + 1)
    return errors


def _power_law(sizes: IntArray, errors: FloatArray, pictures: FloatArray) -> FloatArray:
    """The straight line through the logarithms of errors [S] over sizes [S], at `pictures` [K].

    Errors count by their size: of more mistakes more is known.
    """
    logs, values = np.log(sizes), np.log(errors)
    at, value = (float(np.average(numbers, weights=errors)) for numbers in (logs, values))
    slope = (errors * (logs - at)) @ (values - value) / (errors @ (logs - at) ** 2)
    found: FloatArray = np.exp(value + np.clip(slope, _STEEPEST, _FLATTEST) * (np.log(pictures) - at))
    return found
