"""The whole of `fruitcnn evaluate`, from arguments to text, files and exit status."""

import dataclasses
import json
import sys
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION, Record
from fruitcnn.dataset.sources import read_listing
from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.evaluation.evaluation import Evaluation, few_training_pictures
from fruitcnn.evaluation.leaks import leak_warnings, training_pictures
from fruitcnn.evaluation.predictions import Prediction, Predictions, is_predictions, write_predictions
from fruitcnn.evaluation.text import summary
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Rejection
from fruitcnn.listing import find_pictures
from fruitcnn.outputs import write_text
from fruitcnn.progress import tracked

FINE, SOME_REJECTED = 0, 3
_OUTSIDE = "outside"
# What an evaluation leaves in its folder; a folder that holds anything else belongs to someone else.
FILES = (checkpoint.REPORT, checkpoint.PREDICTIONS, checkpoint.METRICS)


def evaluate_model(model: str, *, data: Path, split: str | None, outside: Path | None, report: Path | None) -> int:
    """Judge a model on a set of labelled pictures and print it; returns the exit status.

    split: which one; by default the test split, else the validation split, else all of a set that is not split.
    outside: a folder of pictures of other things. report: a folder for the page, the predictions and the figures.
    """
    if report is not None:
        _check_report(report)
    file = checkpoint.find_model(model)
    identifier = Identifier.load(file)
    listing = read_listing(data).records
    chosen, photos = _chosen(data, listing, split)
    _check_labels(data, photos, identifier.card.labels)
    strangers = [] if outside is None else _pictures(outside)
    training = training_pictures(file.with_name(checkpoint.SPLIT))
    predictions = _predict(identifier, photos)
    if not predictions.readable().rows:
        raise DatasetError("none of the pictures can be read", value=data, remedy=f"see: {predictions.rows[0].error}")
    few = few_training_pictures(identifier.card.labels, training.counts) if training else ()
    seen = leak_warnings((photo.path for photo in photos), training) if training else ()
    evaluation = Evaluation.of(
        checkpoint.model_name(file),
        identifier.card,
        chosen,
        predictions,
        outside=_predict(identifier, strangers),
        refuse_below=identifier.card.refuse_below,
        warnings=(*few, *seen),
    )
    print(summary(evaluation))
    if report is not None:
        _write(evaluation, report, identifier, data, listing, {photo.file: photo.path for photo in photos + strangers})
    unreadable = [row for row in (*predictions.rows, *evaluation.outside.rows) if row.error]
    for row in unreadable:
        print(f"fruitcnn: left out {row.file}: {row.error}", file=sys.stderr)
    return SOME_REJECTED if unreadable else FINE


def _check_report(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError("is no folder", value=folder, remedy="name a folder to write to (--report)")
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names and not (names <= set(FILES) and is_predictions(folder / checkpoint.PREDICTIONS)):
        raise UsageError("holds other files", value=folder, remedy="name a new folder, or that of an earlier report")
    if not folder.absolute().parent.is_dir():
        raise UsageError("no such folder", value=folder.parent, remedy="make it first")


def _chosen(data: Path, photos: list[Record], split: str | None) -> tuple[str, list[Record]]:
    there = {photo.split for photo in photos}
    if split is None:
        # What a model has not learned from says what it is worth.
        split = next((name for name in (TEST, VALIDATION, TRAIN) if name in there), "")
    chosen = [photo for photo in photos if photo.split == split]
    if not chosen:
        names = ", ".join(sorted(name for name in there if name)) or "none"
        raise DatasetError(f"has no {split} split (it has: {names})", value=data, remedy="leave out --split")
    return split, chosen


def _check_labels(data: Path, photos: list[Record], labels: tuple[str, ...]) -> None:
    unknown = sorted({photo.label for photo in photos} - set(labels))
    if unknown:
        problem = f"has labels that the model does not know: {', '.join(unknown[:5])}"
        known = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
        raise DatasetError(problem, value=data, remedy=f"it knows {known}; give other things with --outside")


def _pictures(folder: Path) -> list[Record]:
    if not folder.is_dir():
        raise UsageError("no such folder", value=folder, remedy="name a folder of pictures (--outside)")
    pictures, _ = find_pictures(folder)
    if not pictures:
        raise DatasetError("no pictures in this folder", value=folder, remedy="name a folder of pictures (--outside)")
    return [Record(str(path), path, "", _OUTSIDE) for path in pictures]


def _predict(identifier: Identifier, photos: list[Record]) -> Predictions:
    paths = [photo.path for photo in photos]
    results = tracked(identifier.identify_many(paths), "identifying pictures", total=len(paths))
    rows = []
    for photo, result in zip(photos, results, strict=True):
        row = Prediction(photo.file, photo.split, photo.label)
        if isinstance(result, Rejection):
            rows.append(dataclasses.replace(row, error=result.error))
        else:
            rows.append(
                dataclasses.replace(row, probabilities=result.probabilities, familiarity=result.familiarity)
            )  # fmt: skip
    return Predictions(identifier.card.labels, tuple(rows))


def _write(
    evaluation: Evaluation,
    folder: Path,
    identifier: Identifier,
    data: Path,
    listing: list[Record],
    paths: dict[str, Path],
) -> None:
    folder.mkdir(exist_ok=True)
    rows = (*evaluation.predictions.rows, *evaluation.outside.rows)
    write_predictions(Predictions(evaluation.predictions.labels, rows), folder / checkpoint.PREDICTIONS)
    text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False)
    write_text(folder / checkpoint.METRICS, text + "\n")
    from fruitcnn.report import write_report

    write_report(folder / checkpoint.REPORT, evaluation, paths, data=data, listing=listing, identifier=identifier)
    print(f"\nreport: {folder / checkpoint.REPORT}")
