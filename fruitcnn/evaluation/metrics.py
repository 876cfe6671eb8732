"""What a classifier's probabilities are worth on labelled pictures."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitcnn.calibration.intervals import Interval, percentile_interval, resamples, wilson_interval
from fruitcnn.terminal import printable

Floats = NDArray[np.floating[Any]]
Targets = NDArray[np.int64]

_BINS = 15
_SIMULATIONS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One class: shares in 0..1 (0 where nothing was predicted or there is no picture), 95 % intervals, pictures."""

    precision: float
    precision_95: Interval
    recall: float
    recall_95: Interval
    f1: float
    f1_95: Interval
    support: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """One set of pictures. Names that end in _95 are 95 % intervals of the figure before them.

    loss: mean negative log-likelihood in nats. calibration_error: see `calibration_error`;
    calibration_error_if_perfect: the middle 95 % of what a perfectly calibrated model with these confidences shows on
    as many pictures. macro_f1, balanced_accuracy: means over the classes that occur. confusion[true][predicted].
    """

    images: int
    accuracy: float
    accuracy_95: Interval
    macro_f1: float
    macro_f1_95: Interval
    balanced_accuracy: float
    balanced_accuracy_95: Interval
    loss: float
    loss_95: Interval
    calibration_error: float
    calibration_error_if_perfect: Interval
    classes: dict[str, ClassMetrics]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return dataclasses.asdict(self)


def confusion_matrix(probabilities: Floats, targets: Targets) -> Targets:
    """Counts [C, C]: rows are the true classes, columns the predicted ones. probabilities: [N, C]; targets: [N]."""
    classes = probabilities.shape[1]
    return np.bincount(targets * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)


def calibration_error(probabilities: Floats, targets: Targets, *, bins: int = _BINS) -> float:
    """Expected calibration error of the top answer, equal-width bins (Naeini et al. 2015; Guo et al. 2017)."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    return _gap(confidence, right, _bin_of(confidence, bins), bins)


def calibration_error_if_perfect(probabilities: Floats, *, bins: int = _BINS) -> Interval:
    """The middle 95 % of the calibration error where every confidence is exactly the chance of being right.

    No finite set shows 0. Simulated with a fixed seed (consistency resampling, Broecker and Smith 2007).
    """
    rng = np.random.default_rng(0)
    confidence = probabilities.max(1)
    index = _bin_of(confidence, bins)
    errors = [
        _gap(confidence, rng.random(len(confidence)) < confidence, index, bins)
        for _ in range(_SIMULATIONS)
    ]  # fmt: skip
    return percentile_interval(np.array(errors))


def evaluate(probabilities: Floats, targets: Targets, labels: list[str]) -> Metrics:
    """All figures of one set of one or more pictures. probabilities: [N, C]; targets: [N]."""
    matrix = confusion_matrix(probabilities, targets)
    right, total = int(np.trace(matrix)), len(targets)
    losses = -np.log(np.maximum(probabilities[np.arange(total), targets], 1e-12))
    recall, f1 = _recall_and_f1(np.diagonal(matrix), matrix.sum(1), matrix.sum(0))
    drawn = _Resampled.of(probabilities.argmax(1), targets, losses, classes=len(labels))
    return Metrics(
        images=total,
        accuracy=right / total,
        accuracy_95=wilson_interval(right, total),
        macro_f1=float(np.nanmean(f1)),
        macro_f1_95=percentile_interval(drawn.macro_f1),
        balanced_accuracy=float(np.nanmean(recall)),
        balanced_accuracy_95=percentile_interval(drawn.balanced_accuracy),
        loss=float(losses.mean()),
        loss_95=percentile_interval(drawn.loss),
        calibration_error=calibration_error(probabilities, targets),
        calibration_error_if_perfect=calibration_error_if_perfect(probabilities),
        classes={label: _class_metrics(matrix, index, drawn.f1[:, index]) for index, label in enumerate(labels)},
        confusion=matrix.tolist(),
    )


def classification_report(metrics: Metrics) -> str:
    """Precision, recall, F1 and support of every class as a text table, and the figures of the whole."""
    rows = [["", "precision", "recall", "F1", "support"]]
    for label, one in metrics.classes.items():
        rows.append([printable(label), f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", str(one.support)])
    width = max(len(row[0]) for row in rows)
    table = [f"{row[0]:<{width}}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows]
    low, high = metrics.accuracy_95
    accuracy = f"accuracy {metrics.accuracy:.2%} (95 % interval {low:.1%} to {high:.1%})"
    return "\n".join([*table, "", f"{accuracy}, calibration error {metrics.calibration_error:.3f}"])


@dataclasses.dataclass(frozen=True)
class _Resampled:
    """Figures of the resampled sets: [R], f1 [R, C] with NaN where a class does not occur."""

    loss: Floats
    balanced_accuracy: Floats
    macro_f1: Floats
    f1: Floats

    @classmethod
    def of(cls, answers: Targets, targets: Targets, losses: Floats, *, classes: int) -> "_Resampled":
        loss, counts = [], []
        for chosen in resamples(len(targets)):
            true, answer = targets[chosen], answers[chosen]
            loss.append(losses[chosen].mean())
            counts.append([np.bincount(kind, minlength=classes) for kind in (true[true == answer], true, answer)])
        right, support, predicted = np.array(counts).transpose(1, 0, 2)  # [R, C] each
        recall, f1 = _recall_and_f1(right, support, predicted)
        return cls(np.array(loss), np.nanmean(recall, axis=1), np.nanmean(f1, axis=1), f1)


def _recall_and_f1(right: Targets, support: Targets, predicted: Targets) -> tuple[Floats, Floats]:
    """[..., C] each, from counts; NaN for a class without a picture (recall), or that does not occur at all (F1)."""
    with np.errstate(invalid="ignore"):
        return right / support, 2 * right / (support + predicted)


def _class_metrics(matrix: Targets, index: int, drawn_f1: Floats) -> ClassMetrics:
    right, support, predicted = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    return ClassMetrics(
        precision=right / predicted if predicted else 0.0,
        precision_95=wilson_interval(right, predicted),
        recall=right / support if support else 0.0,
        recall_95=wilson_interval(right, support),
        f1=2 * right / (support + predicted) if support + predicted else 0.0,
        f1_95=percentile_interval(drawn_f1),
        support=support,
    )


def _bin_of(confidence: Floats, bins: int) -> NDArray[np.int64]:
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def _gap(confidence: Floats, right: NDArray[np.bool_], index: NDArray[np.int64], bins: int) -> float:
    return float(np.abs(np.bincount(index, weights=right - confidence, minlength=bins)).sum() / len(right))
