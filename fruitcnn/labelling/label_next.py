"""The whole of `fruitcnn label-next`, from arguments to files and exit status."""

import collections
import contextlib
import dataclasses
import os
import shlex
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.dataset.duplicates import duplicate_groups
from fruitcnn.dataset.records import SPLITS, Record
from fruitcnn.dataset.sources import read_listing
from fruitcnn.errors import DatasetError, FruitcnnError, UsageError, system_error
from fruitcnn.evaluation.leaks import training_pictures
from fruitcnn.identify.identifier import Identifier
from fruitcnn.labelling.choice import choose, margins
from fruitcnn.labelling.listed import Listed, csv_rows
from fruitcnn.labelling.page import write_page
from fruitcnn.labelling.pool import Pool, read_pool
from fruitcnn.listing import find_pictures
from fruitcnn.models import choose_model, model_name
from fruitcnn.outputs import check_output, opened_output
from fruitcnn.terminal import printable, standard_output, wrapped
from fruitcnn.wording import counted

FINE, SOME_REJECTED = 0, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What `fruitcnn label-next` was asked for, besides the pool.

    count: how many pictures, and at most as many that are unlike all that the model knows. data: what is labelled
    already. output: the list; without it and without a page, standard output. page: the page to label in.
    """

    model: str
    count: int
    data: Path | None = None
    output: Path | None = None
    page: Path | None = None
    force: bool = False


def label_next(pool: list[Path], request: Request) -> int:
    """Choose pictures of `pool`, folders and files, and write them down; returns the exit status."""
    choice = choose_model(request.model)
    known = [] if request.data is None else read_listing(request.data).records
    files = _files(pool, known)
    outputs = [path for path in (request.output, request.page) if path is not None]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UsageError("is named twice", value=request.page, remedy="name a file for --output, another for --page")
    read = [choice.file, *files, *(record.path for record in known), *([request.data] if request.data else [])]
    for path in outputs:
        check_output(path, force=request.force, inputs=read)
    identifier = Identifier(choice.file, many=True, features=True)
    choice.tell("asked is", by_option=False)
    found = read_pool(identifier, files, labelled=_labelled(choice.file))
    if not found.answers:
        raise _nothing_left(found, pool[0])
    chosen = choose_pictures(found, request.count)
    print(wrapped(_summary(found, chosen), sys.stderr), file=sys.stderr)
    if request.page is not None:
        asked = f"Chosen of {len(found.answers):,}: {_counted(chosen, model_name(choice.file))}."
        extends = choice.file.parent if choice.file.with_name(checkpoint.KEPT).is_file() else None
        with _errors_named(request.page):
            write_page(request.page, chosen, identifier.card.labels, asked=asked, known=known, extends=extends)
        print(printable(f"label them: python -m webbrowser {shlex.quote(str(request.page))}"), file=sys.stderr)
    if request.output is not None or request.page is None:
        _write_list(chosen, request)
    return SOME_REJECTED if found.unreadable else FINE


def choose_pictures(pool: Pool, count: int) -> list[Listed]:
    """Up to `count` pictures that the model is unsure of, then as many that are unlike all that it knows.

    pool: with a picture at least.
    """
    is_unknown = np.array([answer.is_unknown for answer in pool.answers], bool)
    lead = margins(np.array([answer.probabilities for answer in pool.answers]))
    familiarity = np.array([answer.familiarity or 0.0 for answer in pool.answers])
    groups, chosen = duplicate_groups(pool.hashes), list[Listed]()
    for unknown, order in ((False, lead), (True, familiarity)):
        (there,) = np.nonzero(is_unknown == unknown)
        best = there[choose(order[there], pool.vectors[there], groups[there], count)]
        chosen += [Listed(pool.answers[index], unknown) for index in best.tolist()]
    return chosen


def _files(pool: list[Path], known: list[Record]) -> list[Path]:
    """The pictures of the pool, each once, without those that have a label. Raises DatasetError where none is left."""
    found: dict[str, Path] = {}
    for path in pool:
        try:
            if not path.exists():
                raise DatasetError("no such folder or file", value=path, remedy="name pictures without a label")
            pictures = find_pictures(path)[0] if path.is_dir() else [path]
        except OSError as error:
            raise system_error(error, DatasetError) from error
        found |= {os.path.realpath(picture): picture for picture in pictures}
    if not found:
        raise DatasetError("no pictures in this folder", value=pool[0], remedy="name a folder of pictures")
    labelled = {os.path.realpath(record.path) for record in known}
    left = [picture for name, picture in found.items() if name not in labelled]
    if not left:
        raise DatasetError("all its pictures have a label already", value=pool[0], remedy="add new ones")
    return left


def _labelled(model: Path) -> frozenset[str]:
    """The sha256 of the pictures that a model was made with, by the split.csv beside it."""
    made_with = training_pictures(model.with_name(checkpoint.SPLIT), splits=SPLITS)
    return frozenset() if made_with is None else made_with.sha256


def _counted(chosen: list[Listed], model: str) -> str:
    counts = collections.Counter(one.is_unknown for one in chosen)
    kinds = {False: f"that {model} is unsure of", True: "unlike all that it knows"}
    return ", ".join(f"{counts[kind]:,} {words}" for kind, words in kinds.items() if counts[kind])


def _summary(pool: Pool, chosen: list[Listed]) -> str:
    left_out = f"; left out {pool.labelled:,} that it was made with" if pool.labelled else ""
    pictures = counted(len(pool.answers), "picture", "pictures")
    lines = [f"{pictures}{left_out}", f"to label: {_counted(chosen, 'the model')}"]
    if pool.unreadable:
        first = pool.unreadable[0]
        lines.append(f"{len(pool.unreadable):,} could not be read, the first: {first.file}: {first.error}")
    return "\n".join(map(printable, lines))


def _nothing_left(pool: Pool, named: Path) -> DatasetError:
    if pool.labelled:
        return DatasetError("all pictures that can be read have a label already", value=named, remedy="add new ones")
    return DatasetError("none of the pictures can be read", value=named, remedy=f"see: {pool.unreadable[0].error}")


@contextlib.contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error


def _write_list(chosen: list[Listed], request: Request) -> None:
    with contextlib.ExitStack() as stack:
        if request.output is None:
            stream = stack.enter_context(standard_output())
        else:
            stream = stack.enter_context(opened_output(request.output, force=request.force))
        if isinstance(stream, TextIOWrapper):
            # Names that are no text are written as the bytes that they are, which `train` reads back.
            stream.reconfigure(errors="surrogateescape")
        for line in csv_rows(chosen):
            stream.write(line)
