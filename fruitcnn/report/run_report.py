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


def write_run_report(
    folder: Path,
    predictions: Predictions,
    metrics: Mapping[str, Metrics],
    *,
    data: Path,
    listing: list[Record],
    chose_epoch: bool,
    enough: Enough | None = None,
) -> None:
    """Write report.html of a run whose model.onnx is in `folder`; only pictures that the page shows are opened.

    predictions: of all splits. metrics: by split; the page shows those of the test split, or of the validation split
    where there is none, or else the training pictures by models that had not met them. data, listing: the whole set.
    Labels of all pictures are looked at that have an answer by a model which has not learned from them. chose_epoch:
    whether the validation split did. enough: what more pictures would bring, where that was measured.
    """
    identifier = Identifier.load(folder, many=True)
    split = next(name for name in (TEST, VALIDATION, HELD_OUT) if name in metrics)
    training = collections.Counter(row.label for row in predictions.rows if row.split == TRAIN)
    warnings = few_training_pictures(predictions.labels, training)
    if split == VALIDATION and chose_epoch:
        warnings += ("these pictures chose the epoch: on new ones expect a little less",)
    if split == HELD_OUT:
        warnings += ("these pictures were learned from; each is answered by a model that has not met it (out of fold)",)
    shown = _shown(predictions, split)
    evaluation = Evaluation(
        name=folder.name,
        card=identifier.card,
        split=split,
        predictions=shown,
        outside=Predictions(predictions.labels, ()),
        warnings=(*one_answer(shown), *promised_refusals(identifier.card), *warnings),
        metrics=metrics[split],
    )
    by_file = {record.file: record.path for record in listing}
    paths = {key_of(row): by_file[row.file] for row in predictions.rows if row.file in by_file}
    with contextlib.closing(Album(identifier, paths)) as album:
        write_report(
            folder / checkpoint.REPORT,
            evaluation,
            album,
            data=data,
            listing=listing,
            unseen=not_learned_from(predictions),
            enough=enough,
        )


def _shown(predictions: Predictions, split: str) -> Predictions:
    """The rows of a split; out of fold nothing is known of familiarity."""
    rows = predictions.rows if split != HELD_OUT else not_learned_from(predictions).rows
    chosen = (row for row in rows if row.split == (TRAIN if split == HELD_OUT else split))
    return Predictions(
        predictions.labels,
        tuple(dataclasses.replace(row, familiarity=None) if split == HELD_OUT else row for row in chosen),
    )
