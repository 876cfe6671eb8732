"""Answers where classes are as frequent as in use, not as in training (Saerens, Latinne and Decaestecker 2002).

A model answers as if each class were as frequent as among what it learned from. Where that is known and wrong, its
probabilities are multiplied by how much more frequent each class is now, and brought to sum to 1 again.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from fruitcnn.arrays import FloatArray
from fruitcnn.card import ModelCard
from fruitcnn.errors import UsageError
from fruitcnn.evaluation.predictions import Prediction, Predictions

BALANCED = "balanced"
_OPTION = "--priors"
# What a card calls `train.class_balance`, where that is not 0.
CLASS_BALANCE = "class_balance"


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


def learned_frequencies(counts: Mapping[str, int] | None, card: ModelCard) -> dict[str, float] | None:
    """How frequent each class was for the network: by its training pictures, and by how they were weighed."""
    balance = card.provenance.get(CLASS_BALANCE, 0.0)
    if counts is None or not isinstance(balance, int | float) or not 0 <= balance <= 1:
        return None
    return {label: count ** (1 - balance) for label, count in counts.items()}


def with_priors(predictions: Predictions, learned: Mapping[str, float] | None, priors: FloatArray) -> Predictions:
    """The predictions as they are where classes are as frequent as `priors` [C] say.

    learned: how frequent each class was in training, in any unit. Raises UsageError where that is not known, or where
    there were none of a class.
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
