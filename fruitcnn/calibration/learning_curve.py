"""How the error of a last layer falls with the number of pictures that it learns from, and what more would bring.

The error of parts of a set is measured on what was left out of each, and a power law (Cortes et al. 1993; Hestness et
al. 2017) is laid through it, whose interval comes from drawing the pictures, near-duplicates together, and the parts
anew (Efron 1979). Beyond three times the pictures at hand such forecasts fail, so none is given.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from fruitcnn.arrays import BoolArray, Float32Array, FloatArray, IntArray
from fruitcnn.calibration.linear_probe import Part, fit_heads
from fruitcnn.progress import tracked

# How many times the pictures at hand a forecast reaches.
REACH = 3
# Parts of the set that are learned from, as shares: less follows another law, and a fifth is left to judge by.
_SHARES = (0.2, 0.27, 0.35, 0.46, 0.61, 0.8)
REPETITIONS, _RESAMPLES = 10, 400
# The slope at which a layer is fitted: of 1,704 photographs no error is 0.0003 off the optimum's, in two fifths of
# the time.
_FLAT = 1e-4
# Of an 80 % interval.
_QUANTILES = (0.1, 0.9)
# Slopes of the power law: errors don't rise with more pictures, and fall no faster than their number grows.
_FLATTEST, _STEEPEST = 0.0, -1.0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The forecast of an error, and its 80 % interval.

    Attributes:
        value: The error, 0 to 1.
        low: The lower end of the interval.
        high: The upper end of the interval.
    """

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

    def forecasts(
        self, pictures: FloatArray, labels: Sequence[int | None] = (None,), *, seed: int = 0
    ) -> list[list[Forecast]]:
        """The error of all pictures, or of those of a class, for each of `labels`, with so many to learn from, [K]."""
        drawn = np.array([_power_law(self.sizes, errors, pictures) for errors in self._resampled(labels, seed)])
        low, high = np.quantile(drawn, _QUANTILES, axis=0)  # [L, K]
        values = _power_law(self.sizes, np.stack([self.errors(label) for label in labels]), pictures)
        return [
            [Forecast(*map(float, one)) for one in zip(*of_label, strict=True)]
            for of_label in zip(values, low, high, strict=True)
        ]

    def _resampled(self, labels: Sequence[int | None], seed: int) -> Iterator[FloatArray]:
        """Errors [L, S] of samples of the pictures, near-duplicates together, and of the repetitions."""
        rng, repetitions = np.random.default_rng(seed), len(self.wrong)
        names, which = np.unique(self.groups, return_inverse=True)
        # By class, and the sum of all classes last.
        columns = [-1 if label is None else label for label in labels]
        by_repetition = [flags.reshape(repetitions, -1).astype(np.float32) for flags in (self.wrong, self.tested)]
        for _ in range(_RESAMPLES):
            weights = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))[which]
            times = np.bincount(rng.integers(repetitions, size=repetitions), minlength=repetitions) / repetitions
            sums = []
            for flags in by_repetition:
                counts = (times.astype(np.float32) @ flags).reshape(len(self.sizes), -1) * weights  # [S, N]
                by_class = np.stack([np.bincount(self.targets, weights=row) for row in counts], axis=1)  # [C, S]
                sums.append(np.concatenate([by_class, by_class.sum(0, keepdims=True)])[columns])
            yield _smoothed(*sums)

    def _members(self, label: int | None) -> FloatArray:
        return np.ones(len(self.targets)) if label is None else (self.targets == label).astype(np.float64)


def measure_curve(
    features: Float32Array,
    targets: IntArray,
    groups: IntArray,
    *,
    penalty: float,
    repetitions: int = REPETITIONS,
    seed: int = 0,
) -> LearningCurve:
    """Fit a last layer to parts of a set: features [N, D], class indices [N], near-duplicates' numbers [N]."""
    rng, count, classes = np.random.default_rng(seed), len(targets), int(targets.max()) + 1
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
    """The weighed error [S] over repetitions."""
    return _smoothed(*(found.sum(axis=0) @ weights / len(found) for found in (wrong, tested)))


def _smoothed(mistakes: FloatArray, judged: FloatArray) -> FloatArray:
    """Errors. Half a mistake more of one picture more: no mistake is not no error."""
    errors: FloatArray = (mistakes + 0.5) / (judged + 1)
    return errors


def _power_law(sizes: IntArray, errors: FloatArray, pictures: FloatArray) -> FloatArray:
    """The straight line through the logarithms of errors [L, S] over sizes [S], at `pictures` [K]: [L, K].

    Errors count by their size: of more mistakes more is known.
    """
    shares = errors / errors.sum(1, keepdims=True)
    logs, values = np.log(sizes), np.log(errors)
    at, value = shares @ logs[:, np.newaxis], (shares * values).sum(1, keepdims=True)  # [L, 1]
    slope = (shares * (logs - at) * (values - value)).sum(1) / (shares * (logs - at) ** 2).sum(1)
    steps = np.clip(slope, _STEEPEST, _FLATTEST)[:, np.newaxis]
    found: FloatArray = np.exp(value + steps * (np.log(pictures) - at))
    return found
