"""From a model and labelled pictures to an Evaluation, and to its files where they are wanted."""

import contextlib
import json
import os
import stat
import sys
from pathlib import Path

from fruitcnn import checkpoint, models
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.sources import read_listing
from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.evaluation.album import Album
from fruitcnn.evaluation.answering import Answering
from fruitcnn.evaluation.choice import check_labels, choose_split, outside_pictures
from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.leaks import training_pictures
from fruitcnn.evaluation.predictions import Predictions, is_predictions, write_predictions
from fruitcnn.evaluation.priors import learned_frequencies, read_priors, with_priors
from fruitcnn.extras import naming_extras, require_extras
from fruitcnn.identify.identifier import Identifier
from fruitcnn.locks import LOCK, HeldError, held_when_free
from fruitcnn.outputs import check_inputs_stay, made_folder, written_together
from fruitcnn.temporaries import is_temporary, remove_temporaries
from fruitcnn.terminal import printable

# What an evaluation leaves in its folder; a folder that holds anything else belongs to someone else.
FILES = (checkpoint.PREDICTIONS, checkpoint.METRICS, checkpoint.REPORT)


@naming_extras()
def evaluate(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    split: str | None = None,
    outside: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    priors: str | None = None,
) -> Evaluation:
    """Measure a model on labelled pictures. It prints nothing.

    Args:
        model: A FinishedRun, a checkpoint directory, an .onnx file, or the name of a model.
        data: A folder with a folder for each class, or a CSV.
        split: The split to measure on. The default is the test split, else the validation split, else all pictures of a
            set without splits.
        outside: A folder of pictures of other things, which the model should call unknown.
        report: A folder for report.html, predictions.csv and metrics.json.
        priors: How frequent the classes are where you use the model: "balanced", or "grape=0.7,kiwi=0.3". The default
            is as frequent as among the training pictures.

    Returns:
        The figures and the predictions. Its `unreadable` lists the pictures that can't be read.

    Raises:
        DatasetError: There is no such set or split, its labels are not the model's, or no picture can be read.
        ModelError: There is no such model, or this version can't read it.
        UsageError: The report would overwrite other files, or the priors are not valid.

    Example:
        >>> found = fruitcnn.evaluate("fruits", "photos")
        >>> found["accuracy"], found.metrics.figures["accuracy"].interval
        (0.988, (0.935, 0.998))
    """
    folder = None if report is None else Path(report)
    if folder is not None:
        require_extras("report")
        _check_report(folder)
    return _evaluate(models.find_model(model), Path(data), split, outside, folder, priors)


def _evaluate(
    file: Path,
    data: Path,
    split: str | None,
    outside: str | os.PathLike[str] | None,
    folder: Path | None,
    priors: str | None,
) -> Evaluation:
    identifier = Identifier.load(file, many=True)
    listing = read_listing(data).records
    chosen, photos = choose_split(data, listing, split)
    check_labels(data, photos, identifier.card.labels)
    frequent = None if priors is None else read_priors(priors, identifier.card.labels)
    others = [] if outside is None else outside_pictures(Path(outside))
    if folder is not None:
        read = (file, file.with_name(checkpoint.SPLIT), data, *(photo.path for photo in listing + others))
        check_inputs_stay([folder / name for name in FILES], read)
    training = training_pictures(file.with_name(checkpoint.SPLIT))
    learned = learned_frequencies(None if training is None else training.counts, identifier.card)
    if frequent is not None:
        # Before anything is read: it may be unknown how frequent they were.
        with_priors(Predictions(identifier.card.labels, ()), learned, frequent)
    with contextlib.closing(Answering(identifier, training)) as answering:
        predictions = answering.predict(photos, keep=folder is not None)
        if frequent is not None:
            predictions = with_priors(predictions, learned, frequent)
        if not predictions.readable().rows:
            remedy = f"see: {predictions.rows[0].error}"
            raise DatasetError("none of the pictures can be read", value=data, remedy=remedy)
        warnings = answering.warnings()
        evaluation = Evaluation.of(
            models.model_name(file),
            identifier.card,
            chosen,
            predictions,
            outside=answering.predict(others, keep=folder is not None),
            warnings=warnings,
        )
        if folder is not None:
            _write(evaluation, folder, answering.album, data, listing)
    return evaluation


def _check_report(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError("is no folder", value=folder, remedy="name a folder to write to (--report)")
    there = _content(folder) if folder.exists() else []
    ours = all(path.name in FILES and stat.S_ISREG(path.lstat().st_mode) for path in there)
    if there and not (ours and is_predictions(folder / checkpoint.PREDICTIONS)):
        raise UsageError("holds other files", value=folder, remedy="name a new folder, or that of an earlier report")
    if not folder.absolute().parent.is_dir():
        raise UsageError("no such folder", value=folder.parent, remedy="make it first")


def _content(folder: Path) -> list[Path]:
    """What lies in a folder but for what others are writing there, or have left behind."""
    remove_temporaries(folder)
    return [path for path in folder.iterdir() if path.name != LOCK and not is_temporary(path)]


def _tell_of_waiting(error: HeldError) -> None:
    print(f"waiting to write into {printable(str(error.value))}: {error.problem}", file=sys.stderr)


def _write(evaluation: Evaluation, folder: Path, album: Album, data: Path, listing: list[Record]) -> None:
    from fruitcnn.report.page import write_report

    files = [folder / name for name in FILES]
    # One at a time: the three files are of one evaluation.
    with made_folder(folder), held_when_free(folder, tell=_tell_of_waiting):
        _check_report(folder)
        with written_together(*files) as (predictions, metrics, page):
            rows = (*evaluation.predictions.rows, *evaluation.outside.rows)
            write_predictions(Predictions(evaluation.predictions.labels, rows), predictions)
            metrics.write_text(json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            write_report(page, evaluation, album, data=data, listing=listing)
