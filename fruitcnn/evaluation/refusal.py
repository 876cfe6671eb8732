"""What is gained by refusing the pictures that a model knows least of: members and pictures of other things."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitcnn.calibration.intervals import Interval, percentile_interval, resamples, wilson_interval

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """How many of the labelled pictures are refused below a threshold, and what the answers to the rest are worth."""

    threshold: float
    refused: int
    refused_share: float
    refused_share_95: Interval
    accuracy_of_the_rest: float
    accuracy_of_the_rest_95: Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutsideRefusal:
    """How well labelled pictures are told from pictures of other things.

    auroc: the chance that a labelled picture scores above one of those. refused: at the model's own threshold (None
    where it has none). refused_at_95: where 95 % of the labelled pictures are accepted.
    """

    images: int
    auroc: float
    auroc_95: Interval
    refused: float | None
    refused_95: Interval | None
    refused_at_95: float
    refused_at_95_95: Interval


def refusal(scores: Floats, right: Flags, threshold: float) -> Refusal:
    """Refuse scores [N] below `threshold`; right [N]: which answers are."""
    accepted = scores >= threshold
    total, kept, kept_right = len(scores), int(accepted.sum()), int((right & accepted).sum())
    return Refusal(
        threshold=threshold,
        refused=total - kept,
        refused_share=(total - kept) / total,
        refused_share_95=wilson_interval(total - kept, total),
        accuracy_of_the_rest=kept_right / kept if kept else 0.0,
        accuracy_of_the_rest_95=wilson_interval(kept_right, kept),
    )


def outside_refusal(scores: Floats, outside: Floats, threshold: float | None) -> OutsideRefusal:
    """Compare scores of labelled pictures [N] with those of pictures of other things [M]."""
    at_95 = float(np.quantile(scores, 0.05))
    members, others = resamples(len(scores)), resamples(len(outside), seed=1)
    drawn = [auroc(scores[first], outside[second]) for first, second in zip(members, others, strict=True)]
    refused, refused_at_95 = (None if level is None else int((outside < level).sum()) for level in (threshold, at_95))
    return OutsideRefusal(
        images=len(outside),
        auroc=auroc(scores, outside),
        auroc_95=percentile_interval(np.array(drawn)),
        refused=None if refused is None else refused / len(outside),
        refused_95=None if refused is None else wilson_interval(refused, len(outside)),
        refused_at_95=(refused_at_95 or 0) / len(outside),
        refused_at_95_95=wilson_interval(refused_at_95 or 0, len(outside)),
    )


def auroc(members: Floats, outside: Floats) -> float:
    """Area under the ROC curve: the chance that a member scores above an outsider, half of it where they are equal."""
    ordered = np.sort(outside)
    below, not_above = (np.searchsorted(ordered, members, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(outside))


def risk_coverage(scores: Floats, right: Flags) -> tuple[Floats, Floats]:
    """Coverage [K] and the share of wrong answers among the accepted [K], the highest scores first (El-Yaniv 2010).

    One point a distinct score: pictures that score the same are accepted together.
    """
    order = np.argsort(-scores, kind="stable")
    accepted = np.arange(1, len(scores) + 1)
    wrong = np.cumsum(~right[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    return (accepted / len(scores))[last], (wrong / accepted)[last]
