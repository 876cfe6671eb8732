"""The metrics: one row each. Terminal, metrics.json, report and training print what stands in METRICS.

A metric that is added to the list is everywhere: a function of a `Sample`, its name, and how its interval is made.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from fruitcnn.arrays import BoolArray, FloatArray, IntArray
from fruitcnn.calibration.intervals import (
    Interval,
    f1_interval,
    mean_interval,
    percentile_interval,
    resamples,
    wilson_interval,
)
from fruitcnn.evaluation.refusal import auroc
from fruitcnn.evaluation.sample import Sample

_BINS = 15
_SIMULATIONS = 1000


@dataclasses.dataclass(frozen=True)
class IntervalMethod:
    """How the interval of a figure is made.

    Attributes:
        interval: A function of the sample and the figure. None takes the bootstrap over pictures.
        suffix: The suffix of the interval's key in metrics.json.
        words: The words before the interval where people read it.
        within: A function of the sample and the figure. It gives the least that the bootstrap's interval must span,
            because classes without a mistake have none in any resample. None for no such limit.
    """

    interval: Callable[[Sample, float], Interval] | None
    suffix: str = "95"
    words: str = ""
    within: Callable[[Sample, float], Interval] | None = None


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric: one figure of a set of pictures.

    Attributes:
        key: Its key in metrics.json. `section.name` puts it into a section.
        name: Its name for people.
        compute: A function of the sample. It returns the figure, or None where the set does not allow it.
        interval: How its interval is made. `BOOTSTRAP` suits every metric.
        better: Whether a "higher" or a "lower" figure is better.
        bounds: The least and the largest possible value.
        format: How people read it, as in `format(figure, ".3f")`.
    """

    key: str
    name: str
    compute: Callable[[Sample], float | None]
    interval: IntervalMethod
    better: Literal["higher", "lower"]
    bounds: tuple[float, float] = (0.0, 1.0)
    format: str = ".3f"


def proportion_of(count: Callable[[Sample], int]) -> IntervalMethod:
    """Wilson's interval of a proportion of so many pictures."""

    def interval(sample: Sample, value: float) -> Interval:
        total = count(sample)
        return wilson_interval(round(value * total), total)

    return IntervalMethod(interval)


def accuracy(sample: Sample) -> float:
    """The share of right answers."""
    return float((sample.answers == sample.targets).mean())


def balanced_accuracy(sample: Sample) -> float:
    """The mean of the recalls of the classes that have pictures."""
    return float(np.nanmean(sample.recall))


def macro_f1(sample: Sample) -> float:
    """The mean of the F1 of the classes that occur."""
    return float(np.nanmean(sample.f1))


def loss(sample: Sample) -> float:
    """The mean negative log-likelihood, in nats."""
    return float(sample.losses.mean())


def calibration_error(sample: Sample) -> float:
    """Expected calibration error of the top answer, equal-width bins (Naeini et al. 2015; Guo et al. 2017)."""
    right = sample.answers == sample.targets
    return _mean_distance(sample.confidence, right, _bin_of(sample.confidence))


def calibration_error_if_perfect(sample: Sample, value: float) -> Interval:
    """The middle 95 % of the calibration error where every confidence is exactly the chance of being right.

    No finite set shows 0. Simulated with a fixed seed (consistency resampling, Broecker and Smith 2007).
    """
    rng = np.random.default_rng(0)
    confidence, index = sample.confidence, _bin_of(sample.confidence)
    errors = [
        _mean_distance(confidence, rng.random(len(confidence)) < confidence, index)
        for _ in range(_SIMULATIONS)
    ]  # fmt: skip
    return percentile_interval(np.array(errors))


def refused_share(sample: Sample) -> float | None:
    """The share of labelled pictures that the model calls unknown."""
    return None if sample.refuse_below is None else float((~_accepted(sample)).mean())


def accuracy_of_the_rest(sample: Sample) -> float | None:
    """The share of right answers among the pictures that are not refused; 0 where all are."""
    if sample.refuse_below is None:
        return None
    accepted = _accepted(sample)
    return float((sample.answers == sample.targets)[accepted].mean()) if accepted.any() else 0.0


def outside_auroc(sample: Sample) -> float | None:
    """The chance that a labelled picture scores above one of other things."""
    return auroc(sample.scores, sample.outside) if len(sample.outside) else None


def outside_refused(sample: Sample) -> float | None:
    """The share of pictures of other things that the model calls unknown."""
    if sample.refuse_below is None or not len(sample.outside):
        return None
    return float((~(sample.outside >= sample.refuse_below)).mean())


def outside_refused_at_95(sample: Sample) -> float | None:
    """The share of pictures of other things that are refused where 95 % of the labelled ones are accepted."""
    if not len(sample.outside):
        return None
    return float((sample.outside < np.quantile(sample.scores, 0.05)).mean())


def _balanced_interval(sample: Sample, value: float) -> Interval:
    """By the intervals of the recalls."""
    right, support, _ = (count.tolist() for count in sample.counts)
    return _interval_of_mean(sample.recall, map(wilson_interval, right, support))


def _macro_f1_interval(sample: Sample, value: float) -> Interval:
    """By the intervals of the classes, which it takes for independent: one mistake is of two classes."""
    return _interval_of_mean(sample.f1, map(f1_interval, *(count.tolist() for count in sample.counts)))


def _interval_of_mean(values: FloatArray, intervals: Iterable[Interval]) -> Interval:
    """Of the figures of classes [C], NaN for one that has none, and their intervals."""
    known = [(value, one) for value, one in zip(values.tolist(), intervals, strict=True) if not math.isnan(value)]
    return mean_interval(*zip(*known, strict=True))


def _auroc_interval(sample: Sample, value: float) -> Interval:
    """By resampling the labelled pictures and those of other things."""
    both = zip(resamples(len(sample)), resamples(len(sample.outside), seed=1), strict=True)
    drawn = [auroc(sample.scores[members], sample.outside[others]) for members, others in both]
    return percentile_interval(np.array(drawn))


def _accepted(sample: Sample) -> BoolArray:
    # A score that is not a number is below every threshold.
    return sample.scores >= (sample.refuse_below or 0.0)


def _bin_of(confidence: FloatArray) -> IntArray:
    return np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)


def _mean_distance(confidence: FloatArray, right: BoolArray, index: IntArray) -> float:
    """Between confidence and share of right answers, over the bins, each weighed by its pictures."""
    return float(np.abs(np.bincount(index, weights=right - confidence, minlength=_BINS)).sum() / len(right))


BOOTSTRAP = IntervalMethod(None)
OF_ALL = proportion_of(len)
_OF_ACCEPTED = proportion_of(lambda sample: int(_accepted(sample).sum()))
_OF_OUTSIDE = proportion_of(lambda sample: len(sample.outside))
_OF_RECALLS = IntervalMethod(None, within=_balanced_interval)
_OF_F1 = IntervalMethod(None, within=_macro_f1_interval)
_IF_PERFECT = IntervalMethod(calibration_error_if_perfect, "if_perfect", "if perfect: ")

METRICS: list[Metric] = [
    Metric("accuracy", "accuracy", accuracy, OF_ALL, "higher", format=".2%"),
    Metric("balanced_accuracy", "balanced accuracy", balanced_accuracy, _OF_RECALLS, "higher", format=".2%"),
    Metric("macro_f1", "macro F1", macro_f1, _OF_F1, "higher"),
    Metric("loss", "loss (NLL)", loss, BOOTSTRAP, "lower", (0.0, float("inf"))),
    Metric("calibration_error", "calibration error", calibration_error, _IF_PERFECT, "lower"),
    Metric("refusal.refused_share", "refused as unknown", refused_share, OF_ALL, "lower", format=".1%"),
    Metric(
        "refusal.accuracy_of_the_rest", "accuracy of the rest", accuracy_of_the_rest, _OF_ACCEPTED, "higher",
        format=".2%",
    ),
    Metric("outside.auroc", "outside: AUROC", outside_auroc, IntervalMethod(_auroc_interval), "higher"),
    Metric("outside.refused", "outside: refused", outside_refused, _OF_OUTSIDE, "higher", format=".1%"),
    Metric(
        "outside.refused_at_95", "outside: refused where 95 % of members are accepted", outside_refused_at_95,
        _OF_OUTSIDE, "higher", format=".1%",
    ),
]  # fmt: skip
