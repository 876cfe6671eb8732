"""Labels that look wrong: confident learning (Northcutt, Jiang and Chuang 2021)."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A picture, by its index, whose class is rather `suggested` (a class index) than what its label says."""

    index: int
    suggested: int


def suspicious_labels(probabilities: NDArray[np.floating[Any]], targets: NDArray[np.int64]) -> list[Suspect]:
    """The most suspicious first. probabilities [N, C] are of pictures that the model did not learn from; targets [N].

    A picture counts as of a class where its probability reaches the mean probability that pictures with this label
    have; where the likeliest of those classes is not its label's, the label is suspicious. Ranked by how far the
    probability of the suggested class is above that of the label.
    """
    classes = probabilities.shape[1]
    labelled = np.eye(classes)[targets]
    with np.errstate(invalid="ignore"):
        thresholds = (probabilities * labelled).sum(0) / labelled.sum(0)  # NaN for a class without a picture
    reached = np.where(probabilities >= thresholds, probabilities, -np.inf)
    suggested = reached.argmax(1)
    rows = np.arange(len(targets))
    chosen = np.flatnonzero(np.isfinite(reached.max(1)) & (suggested != targets))
    margin = probabilities[rows, suggested] - probabilities[rows, targets]
    ranked = chosen[np.argsort(-margin[chosen], kind="stable")]
    return [Suspect(int(index), int(suggested[index])) for index in ranked]
