"""report.html: one file without a network, from predictions and the pictures that they are of."""

import collections
import dataclasses
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from fruitcnn import __version__
from fruitcnn.calibration.intervals import OF_NOTHING
from fruitcnn.card import ModelCard
from fruitcnn.dataset.records import TRAIN, Record
from fruitcnn.evaluation.album import Album
from fruitcnn.evaluation.evaluation import Evaluation, familiarity_or_confidence
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.evaluation.refusal import risk_coverage
from fruitcnn.evaluation.suspects import suspicious_labels
from fruitcnn.evaluation.text import METHODS, confusions
from fruitcnn.outputs import write_text
from fruitcnn.recipes import DEFAULT, recipe_names
from fruitcnn.report.charts import heat_map, reliability_diagram, risk_coverage_chart
from fruitcnn.report.pictures import LIMIT, Shown, picture_pool
from fruitcnn.report.relabel import relabel_table
from fruitcnn.wording import counted

# Up to here the confusion matrix has a number in every cell.
MATRIX_CLASSES = 20
_LISTED = 100
_IN_A_CELL = 24


def write_report(
    target: Path,
    evaluation: Evaluation,
    album: Album,
    *,
    data: Path,
    listing: list[Record],
    unseen: Predictions | None = None,
) -> None:
    """Write the page.

    album: the pictures of the predictions. data, listing: the whole set, for a corrected list of it. unseen: the
    answers by which labels are looked at, each by a model that has not learned from the picture; by default those of
    the evaluation.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fruitcnn.report", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["zip"] = zip
    environment.globals["counted"] = counted
    page = _Page(evaluation, unseen or evaluation.predictions)
    suspects = page.suspects()
    content = {
        "evaluation": evaluation,
        "facts": _facts(evaluation),
        "methods": METHODS,
        "version": __version__,
        "mistakes": page.mistakes(),
        "suspects": suspects,
        "unseen": unseen and (len(unseen.rows), len(listing)),
        "refused": page.refused(),
        "accepted": page.accepted(),
        "cells": page.cells(),
        "confused": [
            (count, page.index[true], page.index[answer], true, answer)
            for count, true, answer in confusions(evaluation.metrics)[:_LISTED]
        ],
        "matrix": len(page.labels) <= MATRIX_CLASSES,
        "charts": _charts(evaluation),
        # Last: by now all pictures have been asked for.
        "pictures": picture_pool(page.shown, evaluation.predictions, album),
        "recipe": _recipe_words(evaluation.card),
        "enough": evaluation.enough,
        "of_nothing": OF_NOTHING,
        "relabel": relabel_table(data, listing, list(page.labels), [row.file for row in suspects.rows]),
    }
    text = environment.get_template("page.html").render(content)
    write_text(target, text.encode(errors="replace").decode())


def not_learned_from(predictions: Predictions) -> Predictions:
    """Each picture as a model answers it that has not learned from it; without those that have no such answer."""
    rows = (dataclasses.replace(row, probabilities=row.held_out or row.probabilities) for row in predictions.rows)
    return Predictions(predictions.labels, tuple(row for row in rows if row.held_out or row.split != TRAIN))


@dataclasses.dataclass(frozen=True)
class _Gallery:
    """Rows of one section, as many as fit into the page, with their numbers there; `total`: how many there are."""

    rows: list[Prediction]
    ids: list[int]
    total: int
    notes: list[str] = dataclasses.field(default_factory=list)


class _Page:
    """Which pictures stand in which section. Each is in the page once; those that are asked for first are in it."""

    def __init__(self, evaluation: Evaluation, unseen: Predictions) -> None:
        self.evaluation, self.unseen = evaluation, unseen.readable()
        self.labels = evaluation.predictions.labels
        self.index = {label: number for number, label in enumerate(self.labels)}
        self.rows = evaluation.predictions.readable().rows
        self.shown: list[Shown] = []
        self._numbers: dict[tuple[str, str], int] = {}

    def mistakes(self) -> _Gallery:
        """Answers that are not the label, those first whose label got the least probability."""
        wrong = [row for row in self.rows if self._answer(row) != row.label]
        return self._gallery(sorted(wrong, key=lambda row: row.probabilities[self.index[row.label]]), explained=True)

    def suspects(self) -> _Gallery:
        """Labels that look wrong, with what they may be."""
        probabilities, targets = self.unseen.arrays()
        found = suspicious_labels(probabilities, targets)
        gallery = self._gallery([self.unseen.rows[suspect.index] for suspect in found], explained=True)
        suggested = [self.labels[suspect.suggested] for suspect in found]
        return dataclasses.replace(gallery, notes=suggested[: len(gallery.ids)])

    def refused(self) -> _Gallery:
        """Pictures of the set that are called unknown, the least familiar first."""
        below = self.evaluation.refuse_below or 0.0
        refused = [row for row in self.rows if row.familiarity is not None and row.familiarity < below]
        return self._gallery(sorted(refused, key=lambda row: row.familiarity or 0.0))

    def accepted(self) -> _Gallery:
        """Outside pictures that are not refused, the most familiar first."""
        outside = self.evaluation.outside.readable()
        scores = familiarity_or_confidence(outside)
        below = self.evaluation.refuse_below
        if below is None:
            below = float(np.quantile(familiarity_or_confidence(self.evaluation.predictions.readable()), 0.05))
        order = np.argsort(-scores, kind="stable")
        return self._gallery([outside.rows[i] for i in order if scores[i] >= below], explained=True)

    def cells(self) -> dict[str, list[int]]:
        """Numbers of the pictures of each cell of the confusion matrix, by `true-answer`; mistakes are never left out
        for pictures that were right."""
        found: dict[str, list[Prediction]] = collections.defaultdict(list)
        for row in sorted(self.rows, key=lambda row: self._answer(row) == row.label):
            found[f"{self.index[row.label]}-{self.index[self._answer(row)]}"].append(row)
        return {cell: self._gallery(rows[:_IN_A_CELL]).ids for cell, rows in found.items()}

    def _answer(self, row: Prediction) -> str:
        return self.evaluation.predictions.answer(row)

    def _gallery(self, rows: list[Prediction], *, explained: bool = False) -> _Gallery:
        kept = [row for row in rows[:_LISTED] if self._fits(row, explained)]
        return _Gallery(kept, [self._numbers[row.file, row.split] for row in kept], len(rows))

    def _fits(self, row: Prediction, explained: bool) -> bool:
        key = (row.file, row.split)
        if key not in self._numbers:
            if len(self.shown) == LIMIT:
                return False
            self._numbers[key] = len(self.shown)
            self.shown.append(Shown(row, explained))
        return True


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What the model is: name and value."""
    card, made = evaluation.card, evaluation.card.provenance
    facts: list[tuple[str, Any]] = [
        ("labels", f"{len(card.labels)}: {card.labels_shown()}"),
        ("input", f"{card.size} x {card.size} pixels"),
        *((key, made[key]) for key in ("architecture", "parameters", "recipe", "created") if key in made),
    ]
    return [(key, f"{value:,}" if isinstance(value, int) else str(value)) for key, value in facts]


def _recipe_words(card: ModelCard) -> str:
    """What names a model's recipe on the command line, where it is not the one that is meant without a word."""
    recipe = card.provenance.get("recipe")
    if recipe == DEFAULT:
        return ""
    return f" -r {recipe if recipe in recipe_names() else 'RECIPE'}"


def _charts(evaluation: Evaluation) -> dict[str, Markup]:
    readable = evaluation.predictions.readable()
    probabilities, targets = readable.arrays()
    right, confidence = probabilities.argmax(1) == targets, probabilities.max(1)
    curves = [("by probability", risk_coverage(confidence, right))]
    if evaluation.refuse_below is not None:
        curves.append(("by familiarity", risk_coverage(familiarity_or_confidence(readable), right)))
    return {
        "reliability": reliability_diagram(probabilities, targets),
        "coverage": risk_coverage_chart(curves),
        "heat": heat_map(np.array(evaluation.metrics.confusion)),
    }
