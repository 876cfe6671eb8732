"""All that is known of a model on one set of pictures: its answers, and what follows from them."""

import collections
import dataclasses
from typing import Any

import numpy as np

from fruitcnn.arrays import FloatArray
from fruitcnn.card import ModelCard
from fruitcnn.evaluation.enough import Enough
from fruitcnn.evaluation.measured import Metrics, measure
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.evaluation.sample import Sample
from fruitcnn.wording import counted

# Classes with fewer training pictures than this are named beside the headline.
FEW = 10


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """The figures and the predictions of a model on one set of pictures.

    `evaluation["accuracy"]` is one figure. A notebook shows the figures and the confusions.

    Attributes:
        name: The name of the model.
        card: The card of the model.
        split: The split that was measured. Empty for a set without splits.
        predictions: A row for each labelled picture, the unreadable ones too.
        outside: A row for each picture of other things.
        warnings: What else you have to know to read the figures.
        metrics: All figures with their 95 % intervals, and the figures of each class.
        enough: How much more pictures would help. None where that was not measured: `evaluate` does not measure it.
    """

    name: str
    card: ModelCard
    split: str
    predictions: Predictions
    outside: Predictions
    warnings: tuple[str, ...]
    metrics: Metrics
    enough: Enough | None = None

    @classmethod
    def of(
        cls,
        name: str,
        card: ModelCard,
        split: str,
        predictions: Predictions,
        *,
        outside: Predictions | None = None,
        warnings: tuple[str, ...] = (),
    ) -> "Evaluation":
        """Compute the figures. There must be a readable picture.

        Args:
            name: The name of the model.
            card: The card of the model.
            split: The split that was measured. Empty for a set without splits.
            predictions: A row for each labelled picture.
            outside: A row for each picture of other things. None where there are none.
            warnings: What else you have to know to read the figures.
        """
        probabilities, targets = predictions.readable().arrays()
        outside = outside or Predictions(predictions.labels, ())
        sample = Sample.of(
            probabilities,
            targets,
            scores=familiarity_or_confidence(predictions.readable()),
            outside=familiarity_or_confidence(outside.readable()),
            refuse_below=card.refuse_below,
        )
        return cls(
            name=name,
            card=card,
            split=split,
            predictions=predictions,
            outside=outside,
            warnings=(*one_answer(predictions), *promised_refusals(card), *warnings),
            metrics=measure(sample, predictions.labels),
        )

    def __getitem__(self, key: str) -> float:
        """Return the value of a figure.

        Args:
            key: Its key in `metrics.figures`, such as "accuracy", "loss" or "outside.auroc".
        """
        return self.metrics[key]

    @property
    def pictures(self) -> str:
        """What it was measured on, as in "83 labelled pictures of the test split"."""
        pictures = counted(self.metrics.images, "labelled picture", "labelled pictures")
        return f"{pictures} of the {self.split} split" if self.split else pictures

    def __repr__(self) -> str:
        """The set and its figures in a line each, without the pictures."""
        lines = [f"<Evaluation: {self.name} on {self.pictures}"]
        lines += [f"  {key}: {one.value_text} ({one.interval_text})" for key, one in self.metrics.figures.items()]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)]) + ">"

    def _repr_html_(self) -> str:
        """The same in a notebook, with what is taken for what."""
        from fruitcnn.notebook import evaluation_html

        return evaluation_html(self)

    @property
    def refuse_below(self) -> float | None:
        """The familiarity below which the model says unknown; None where it has no familiarity."""
        return self.card.refuse_below

    @property
    def damaged(self) -> list[Prediction]:
        """The pictures that have an answer and a warning."""
        return [row for row in (*self.predictions.rows, *self.outside.rows) if row.warning]

    @property
    def unreadable(self) -> list[Prediction]:
        """The pictures that can't be read, each with its error."""
        return [row for row in (*self.predictions.rows, *self.outside.rows) if row.error]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers, ready for JSON, as metrics.json has them."""
        return {
            "model": self.name,
            "split": self.split,
            "warnings": list(self.warnings),
            **self.metrics.to_dict(),
        }


def familiarity_or_confidence(predictions: Predictions) -> FloatArray:
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


def promised_refusals(card: ModelCard) -> tuple[str, ...]:
    """A warning where too few pictures calibrated the refusals to promise what they are meant to be."""
    below, promised = card.refuse_below, card.refuses_members
    if below is None or promised is None or promised <= below:
        return ()
    few = card.calibrated_on
    known = "too few pictures" if few is None else f"only {counted(few, 'picture', 'pictures')}"
    return (f"{known} calibrated its refusals: up to {promised:.1%} of members are refused, not {below:.1%}",)


def one_answer(predictions: Predictions) -> tuple[str, ...]:
    """A warning where all readable pictures of several labels have one answer."""
    probabilities, targets = predictions.readable().arrays()
    answers = probabilities.argmax(1)
    if len(set(answers.tolist())) > 1 or len(set(targets.tolist())) == 1:
        return ()
    return (f"every answer is {predictions.labels[int(answers[0])]}: the model tells nothing apart",)
