"""What a classifier's probabilities are worth on labelled pictures."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Targets = NDArray[np.int64]

# Standard normal quantile of a two-sided 95 % interval.
_Z95 = 1.959963984540054


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion (Wilson 1927): honest for small sets and near 100 %."""
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def confusion_matrix(probabilities: Floats, targets: Targets) -> Targets:
    """Counts [C, C]: rows are the true classes, columns the predicted ones. probabilities: [N, C]; targets: [N]."""
    classes = probabilities.shape[1]
    return np.bincount(targets * classes + probabilities.argmax(1), minlength=classes**2).reshape(classes, classes)


def calibration_error(probabilities: Floats, targets: Targets, *, bins: int = 15) -> float:
    """Expected calibration error of the top answer, equal-width bins (Naeini et al. 2015; Guo et al. 2017)."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def evaluate(probabilities: Floats, targets: Targets, labels: list[str]) -> dict[str, Any]:
    """All figures of one split as plain numbers, ready for JSON. probabilities: [N, C]; targets: [N]."""
    matrix = confusion_matrix(probabilities, targets)
    right = int(np.trace(matrix))
    likelihood = probabilities[np.arange(len(targets)), targets]
    return {
        "images": len(targets),
        "accuracy": right / len(targets),
        "accuracy_95": list(wilson_interval(right, len(targets))),
        "loss": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "calibration_error": calibration_error(probabilities, targets),
        "classes": {label: _of_class(matrix, index) for index, label in enumerate(labels)},
        "confusion": matrix.tolist(),
    }


def classification_report(metrics: dict[str, Any]) -> str:
    """Precision, recall, F1 and support of every class as a text table."""
    rows = [["", "precision", "recall", "F1", "support"]]
    for label, of in metrics["classes"].items():
        rows.append([label, *(f"{of[key]:.3f}" for key in ("precision", "recall", "f1")), str(of["support"])])
    low, high = metrics["accuracy_95"]
    accuracy = f"accuracy {metrics['accuracy']:.2%} (95 % interval {low:.1%} to {high:.1%})"
    width = max(len(row[0]) for row in rows)
    table = [f"{row[0]:<{width}}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows]
    return "\n".join([*table, "", f"{accuracy}, calibration error {metrics['calibration_error']:.3f}"])


def _of_class(matrix: Targets, index: int) -> dict[str, Any]:
    right, support, predicted = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    precision = right / predicted if predicted else 0.0
    recall = right / support if support else 0.0
    f1 = 2 * right / (support + predicted) if support + predicted else 0.0
    interval = list(wilson_interval(right, support)) if support else [0.0, 1.0]
    return {"precision": precision, "recall": recall, "recall_95": interval, "f1": f1, "support": support}
