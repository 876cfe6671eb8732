"""Answers where classes are as frequent as in use, not as in training (Saerens, Latinne and Decaestecker 2002).

A model answers as if each class were as frequent as among what it learned from. Where that is known and wrong, its
probabilities are multiplied by how much more frequent each class is now, and brought to sum to 1 again.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from fruitcnn.arrays import FloatArray
from fruitcnn.errors import UsageError
from fruitcnn.evaluation.predictions import Prediction, Predictions

BALANCED = "balanced"
_OPTION = "--priors"


def read_priors(text: str, labels: tuple[str, ...]) -> FloatArray:
    """How frequent each class is, [C]: `balanced`, or `LABEL=SHARE,...` of any sum. Raises UsageError."""
    if text == BALANCED:
        return np.ones(len(labels))
    parts = text.split(",")
    given = dict(part.rpartition("=")[::2] for part in parts)
    if set(given) != set(labels) or len(parts) != len(labels):
        named = ",".join(f"{label}=..." for label in labels[:3]) + (",..." if len(labels) > 3 else "")
        raise UsageError("must name each class once", value=f"{_OPTION} {text}", remedy=f"give balanced, or {named}")
    try:
        shares = np.array([float(given[label]) for label in labels])
    except ValueError:
        shares = np.zeros(1)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise UsageError("has a share that is no positive number", value=f"{_OPTION} {text}", remedy="give numbers")
    return shares


def with_priors(predictions: Predictions, learned: Mapping[str, int] | None, priors: FloatArray) -> Predictions:
    """The predictions as they are where classes are as frequent as `priors` [C] say.

    learned: training pictures of each class. Raises UsageError where they are not known, or none of a class are.
    """
    counts = np.array([(learned or {}).get(label, 0) for label in predictions.labels], np.float64)
    if not counts.all():
        problem = "how frequent the classes were in training is not known"
        raise UsageError(problem, value=_OPTION, remedy="evaluate a checkpoint with its split.csv")
    factors = (priors / priors.sum()) / (counts / counts.sum())

    def changed(row: Prediction) -> Prediction:
        if row.error:
            return row
        weighed = np.array(row.probabilities) * factors
        return dataclasses.replace(row, probabilities=tuple((weighed / weighed.sum()).tolist()))

    return Predictions(predictions.labels, tuple(map(changed, predictions.rows)))
