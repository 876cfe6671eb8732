"""The page of a finished run, from what its training knows."""

import collections
import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION, Record
from fruitcnn.evaluation.album import Album, key_of
from fruitcnn.evaluation.enough import Enough
from fruitcnn.evaluation.evaluation import Evaluation, few_training_pictures, one_answer, promised_refusals
from fruitcnn.evaluation.measured import Metrics
from fruitcnn.evaluation.predictions import HELD_OUT, Predictions
from fruitcnn.identify.identifier import Identifier
from fruitcnn.report.page import not_learned_from, write_report


def run_evaluation(
    identifier: Identifier,
    predictions: Predictions,
    metrics: Mapping[str, Metrics],
    *,
    chose_epoch: bool,
    enough: Enough | None = None,
) -> Evaluation:
    """A run on the split that says what it is worth: test, or validation, or training pictures out of fold.

    identifier: of its model.onnx. predictions: of all splits. metrics: by split. chose_epoch: whether the validation
    split did.
    """
    split = next(name for name in (TEST, VALIDATION, HELD_OUT) if name in metrics)
    training = collections.Counter(row.label for row in predictions.rows if row.split == TRAIN)
    warnings = few_training_pictures(predictions.labels, training)
    if split == VALIDATION and chose_epoch:
        warnings += ("these pictures chose the epoch: on new ones expect a little less",)
    if split == HELD_OUT:
        warnings += ("these pictures were learned from; each is answered by a model that has not met it (out of fold)",)
    shown = _shown(predictions, split)
    return Evaluation(
        name=identifier.file.parent.name,
        card=identifier.card,
        split=split,
        predictions=shown,
        outside=Predictions(predictions.labels, ()),
        warnings=(*one_answer(shown), *promised_refusals(identifier.card), *warnings),
        metrics=metrics[split],
        enough=enough,
    )


def write_run_report(
    identifier: Identifier, evaluation: Evaluation, predictions: Predictions, *, data: Path, listing: list[Record]
) -> None:
    """Write report.html beside a run's model.onnx; only pictures that the page shows are opened.

    evaluation: see `run_evaluation`. predictions: of all splits; labels of all pictures are looked at that have an
    answer by a model which has not learned from them. data, listing: the whole set.
    """
    by_file = {record.file: record.path for record in listing}
    paths = {key_of(row): by_file[row.file] for row in predictions.rows if row.file in by_file}
    with contextlib.closing(Album(identifier, paths)) as album:
        write_report(
            identifier.file.with_name(checkpoint.REPORT),
            evaluation,
            album,
            data=data,
            listing=listing,
            unseen=not_learned_from(predictions),
        )


def _shown(predictions: Predictions, split: str) -> Predictions:
    """The rows of a split; out of fold nothing is known of familiarity."""
    rows = predictions.rows if split != HELD_OUT else not_learned_from(predictions).rows
    chosen = (row for row in rows if row.split == (TRAIN if split == HELD_OUT else split))
    return Predictions(
        predictions.labels,
        tuple(dataclasses.replace(row, familiarity=None) if split == HELD_OUT else row for row in chosen),
    )
