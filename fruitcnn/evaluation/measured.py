"""All figures of one set of pictures: every metric of the list with its interval, classes, confusions."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fruitcnn.arrays import FloatArray, IntArray
from fruitcnn.calibration.intervals import Interval, f1_interval, percentile_interval, resamples, wilson_interval
from fruitcnn.evaluation.metrics import METRICS, Metric
from fruitcnn.evaluation.sample import Sample


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure and its interval.

    Attributes:
        metric: What was measured.
        value: The figure.
        interval: The lower and the upper end of its 95 % interval.
    """

    metric: Metric
    value: float
    interval: Interval

    @property
    def value_text(self) -> str:
        """The value as people read it."""
        return format(self.value, self.metric.format)

    @property
    def interval_text(self) -> str:
        """The interval as people read it."""
        low, high = self.interval
        shares = self.metric.format.endswith("%")
        return self.metric.interval.words + (shares_text(self.interval) if shares else f"{low:.3f} to {high:.3f}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """The figures of one class, 0 to 1. A figure is 0 where the class has no picture or no answer.

    Attributes:
        precision: The share of right answers among the answers of this class.
        precision_95: Its 95 % interval.
        recall: The share of right answers among the pictures of this class.
        recall_95: Its 95 % interval.
        f1: The harmonic mean of precision and recall.
        f1_95: Its 95 % interval.
        support: The number of pictures of this class.
    """

    precision: float
    precision_95: Interval
    recall: float
    recall_95: Interval
    f1: float
    f1_95: Interval
    support: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """All figures of one set of pictures.

    Attributes:
        images: The number of labelled pictures.
        figures: The figures by their keys. A figure that the set does not allow is missing.
        classes: The figures of each class, by its label.
        confusion: The number of pictures by class and answer: `confusion[true][answered]`.
        refuse_below: The familiarity below which the model says unknown. None where it has no familiarity.
        refused: The number of labelled pictures that the model calls unknown. None where it has no familiarity.
        outside_images: The number of pictures of other things.
    """

    images: int
    figures: dict[str, Figure]
    classes: dict[str, ClassMetrics]
    confusion: list[list[int]]
    refuse_below: float | None = None
    refused: int | None = None
    outside_images: int = 0

    def __getitem__(self, key: str) -> float:
        """Return the value of a figure. Raises KeyError where there is none.

        Args:
            key: Its key in `figures`.
        """
        return self.figures[key].value

    def to_dict(self) -> dict[str, Any]:
        """Return the figures and their intervals, ready for JSON. A figure that the set does not allow is None."""
        refusal = {"threshold": self.refuse_below, "refused": self.refused}
        sections: dict[str, Any] = {"": {}, "refusal": refusal, "outside": {"images": self.outside_images}}
        for metric in METRICS:
            section, _, key = metric.key.rpartition(".")
            figure = self.figures.get(metric.key)
            into = sections.setdefault(section, {})
            into[key] = figure and figure.value
            into[f"{key}_{metric.interval.suffix}"] = figure and figure.interval
        plain = sections.pop("")
        classes = {label: dataclasses.asdict(one) for label, one in self.classes.items()}
        if self.refuse_below is None:
            sections["refusal"] = None
        if not self.outside_images:
            sections["outside"] = None
        return {"images": self.images, **plain, "classes": classes, "confusion": self.confusion, **sections}


def measure(sample: Sample, labels: Sequence[str]) -> Metrics:
    """Compute every metric of METRICS, with one bootstrap for all of them. labels: the names of the C classes."""
    values = {metric.key: metric.compute(sample) for metric in METRICS}
    drawn = [metric for metric in METRICS if metric.interval.interval is None and values[metric.key] is not None]
    resampled = []
    for chosen in resamples(len(sample)):
        part = sample.resampled(chosen)
        resampled.append([metric.compute(part) for metric in drawn])
    by_key = dict(zip((metric.key for metric in drawn), np.array(resampled, np.float64).T, strict=True))
    figures = {
        metric.key: Figure(metric, value, _interval(metric, sample, value, by_key.get(metric.key)))
        for metric in METRICS
        if (value := values[metric.key]) is not None
    }
    below = sample.refuse_below
    return Metrics(
        images=len(sample),
        figures=figures,
        classes=_class_metrics(sample, labels),
        confusion=confusion_matrix(sample).tolist(),
        refuse_below=below,
        refused=None if below is None else int((~(sample.scores >= below)).sum()),
        outside_images=len(sample.outside),
    )


def confusion_matrix(sample: Sample) -> IntArray:
    """Counts [C, C]: rows are the true classes, columns the answers."""
    cells = np.bincount(sample.targets * sample.classes + sample.answers, minlength=sample.classes**2)
    return cells.reshape(sample.classes, sample.classes)


def shares_text(interval: Interval) -> str:
    """A range of shares as people read it."""
    return f"{interval[0] * 100:.1f} to {interval[1]:.1%}"


def _interval(metric: Metric, sample: Sample, value: float, drawn: FloatArray | None) -> Interval:
    method = metric.interval.interval
    if method is not None:
        return method(sample, value)
    low, high = percentile_interval(np.empty(0) if drawn is None else drawn)
    if metric.interval.within is not None:
        least, most = metric.interval.within(sample, value)
        return min(low, least), max(high, most)
    return low, high


def _class_metrics(sample: Sample, labels: Sequence[str]) -> dict[str, ClassMetrics]:
    counts = zip(labels, *(count.tolist() for count in sample.counts), strict=True)
    return {
        label: ClassMetrics(
            precision=right / answered if answered else 0.0,
            precision_95=wilson_interval(right, answered),
            recall=right / support if support else 0.0,
            recall_95=wilson_interval(right, support),
            f1=2 * right / (support + answered) if support + answered else 0.0,
            f1_95=f1_interval(right, support, answered),
            support=support,
        )
        for label, right, support, answered in counts
    }
