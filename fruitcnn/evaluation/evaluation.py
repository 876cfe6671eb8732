"""All that is known of a model on one set of pictures: its answers, and what follows from them."""

import collections
import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitcnn.card import ModelCard
from fruitcnn.evaluation.metrics import Metrics, evaluate
from fruitcnn.evaluation.predictions import Predictions
from fruitcnn.evaluation.refusal import OutsideRefusal, Refusal, outside_refusal, refusal

# Classes with fewer training pictures than this are named beside the headline.
FEW = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model on one split.

    name: of the model. split: "" where the set is not split. predictions: every labelled picture, those that could
    not be read too. outside: pictures of other things. refuse_below: familiarity below which the model says unknown,
    None where it has no familiarity. warnings: what else has to be known to read the figures right.
    """

    name: str
    card: ModelCard
    split: str
    predictions: Predictions
    outside: Predictions
    refuse_below: float | None
    warnings: tuple[str, ...]
    metrics: Metrics
    refusal: Refusal | None
    outside_refusal: OutsideRefusal | None

    @classmethod
    def of(
        cls,
        name: str,
        card: ModelCard,
        split: str,
        predictions: Predictions,
        *,
        outside: Predictions | None = None,
        refuse_below: float | None = None,
        warnings: tuple[str, ...] = (),
    ) -> "Evaluation":
        """Compute the figures. There must be a readable picture."""
        probabilities, targets = predictions.readable().arrays()
        answers = probabilities.argmax(1)
        scores = familiarity_or_confidence(predictions.readable())
        outside = outside or Predictions(predictions.labels, ())
        others = familiarity_or_confidence(outside.readable())
        return cls(
            name=name,
            card=card,
            split=split,
            predictions=predictions,
            outside=outside,
            refuse_below=refuse_below,
            warnings=(*_one_answer(predictions.labels, answers, targets), *warnings),
            metrics=evaluate(probabilities, targets, list(predictions.labels)),
            refusal=None if refuse_below is None else refusal(scores, answers == targets, refuse_below),
            outside_refusal=outside_refusal(scores, others, refuse_below) if len(others) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain numbers, ready for JSON."""
        return {
            "model": self.name,
            "split": self.split,
            "warnings": list(self.warnings),
            **self.metrics.to_dict(),
            "refusal": self.refusal and dataclasses.asdict(self.refusal),
            "outside": self.outside_refusal and dataclasses.asdict(self.outside_refusal),
        }


def familiarity_or_confidence(predictions: Predictions) -> NDArray[np.float64]:
    """What pictures are refused by, [N]: familiarity, or the largest probability where the model has none."""
    rows = predictions.rows
    return np.array([max(row.probabilities) if row.familiarity is None else row.familiarity for row in rows])


def few_training_pictures(labels: tuple[str, ...], training: collections.Counter[str]) -> tuple[str, ...]:
    """A warning where classes had fewer than ten training pictures. training: pictures of each label."""
    few = [f"{label} ({training[label]})" for label in labels if training[label] < FEW]
    if not few:
        return ()
    more = f" and {len(few) - 10} more" if len(few) > 10 else ""
    return (f"fewer than {FEW} training pictures of: {', '.join(few[:10])}{more}; their answers are worth little",)


def _one_answer(labels: tuple[str, ...], answers: NDArray[np.int64], targets: NDArray[np.int64]) -> tuple[str, ...]:
    if len(set(answers.tolist())) > 1 or len(set(targets.tolist())) == 1:
        return ()
    return (f"every answer is {labels[int(answers[0])]}: the model tells nothing apart",)
