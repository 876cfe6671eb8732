"""The whole of `fruitcnn identify`, from arguments to text and exit status."""

import dataclasses
import itertools
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import cast

from fruitcnn.errors import ImageError, UsageError
from fruitcnn.files import written_whole
from fruitcnn.identify.identifier import Identification, Identifier, Rejection
from fruitcnn.identify.inputs import expand, read
from fruitcnn.identify.writers import FORMATS

FINE, SOME_REJECTED = 0, 3


def identify_paths(
    paths: Iterable[str], *, model: str | None, format: str, top: int | None, output: Path | None
) -> int:
    """Identify all that `paths` mean and write it to `output` or standard output; returns the exit status."""
    if output is not None:
        _check(output)
    identifier = Identifier.load(model)
    rejected = 0

    def counted() -> Iterator[Identification | Rejection]:
        nonlocal rejected
        for result in _results(identifier, paths):
            rejected += isinstance(result, Rejection)
            yield result.top(top) if isinstance(result, Identification) else result

    lines = FORMATS[format](counted(), identifier.card.labels)
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper):
            # A file's name may not be text in the terminal's encoding: escape what is not, rather than fail.
            sys.stdout.reconfigure(errors="backslashreplace")
        for line in lines:
            sys.stdout.write(line)
    else:
        with (
            written_whole(output) as temporary,
            temporary.open("w", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.writelines(lines)
    return SOME_REJECTED if rejected else FINE


def _results(identifier: Identifier, paths: Iterable[str]) -> Iterator[Identification | Rejection]:
    # Runs of names go through the network in batches; a name that means nothing keeps its place between them.
    for rejected, items in itertools.groupby(_expanded(paths), key=lambda item: isinstance(item, Rejection)):
        if rejected:
            yield from cast(Iterator[Rejection], items)
        else:
            names, again = itertools.tee(cast(Iterator[str], items))
            for name, result in zip(names, identifier.identify_many(read(again)), strict=True):
                yield dataclasses.replace(result, file=name)


def _expanded(paths: Iterable[str]) -> Iterator[str | Rejection]:
    for path in paths:
        try:
            yield from expand(path)
        except ImageError as error:
            yield Rejection.of(path, error)


def _check(output: Path) -> None:
    if output.is_dir():
        raise UsageError("is a folder", value=output, remedy="name a file to write (--output)")
    if not output.parent.is_dir():
        raise UsageError("no such folder", value=output.parent, remedy="make it first")
