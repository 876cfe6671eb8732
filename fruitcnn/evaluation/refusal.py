"""What is gained by refusing the pictures that a model knows least of: members and pictures of other things."""

import numpy as np

from fruitcnn.arrays import BoolArray, FloatArray


def auroc(members: FloatArray, outside: FloatArray) -> float:
    """Area under the ROC curve: the chance that a member scores above an outsider, half of it where they are equal."""
    ordered = np.sort(outside)
    below, not_above = (np.searchsorted(ordered, members, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(outside))


def risk_coverage(scores: FloatArray, right: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Coverage [K] and the share of wrong answers among the accepted [K], the highest scores first (El-Yaniv 2010).

    One point a distinct score: pictures that score the same are accepted together.
    """
    order = np.argsort(-scores, kind="stable")
    accepted = np.arange(1, len(scores) + 1)
    wrong = np.cumsum(~right[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    return (accepted / len(scores))[last], (wrong / accepted)[last]
