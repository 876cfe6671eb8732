"""The whole of `fruitcnn identify`, from arguments to text and exit status."""

import dataclasses
import functools
import itertools
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO, cast

from fruitcnn.checkpoint import SHIPPED, find_model
from fruitcnn.errors import ImageError, UsageError
from fruitcnn.identify.explain import Explainer
from fruitcnn.identify.identifier import Identification, Identifier, Rejection
from fruitcnn.identify.inputs import STDIN, expand, is_one, read
from fruitcnn.identify.writers import ERRORS, FORMATS, csv_lines, json_lines
from fruitcnn.image import Source
from fruitcnn.outputs import check_output, opened_output
from fruitcnn.terminal import printable, standard_output

FINE, SOME_REJECTED = 0, 3
# A line holds that many labels, if nobody asks for more or fewer.
_TABLE_LABELS = 5


def identify_paths(
    paths: list[str],
    *,
    model: str | None,
    format: str,
    top: int | None,
    output: Path | None,
    force: bool,
    verbose: bool,
    refuse_below: float | None = None,
    explain: Path | None = None,
) -> int:
    """Identify all that `paths` mean and write it to `output` or standard output; returns the exit status.

    refuse_below: the familiarity below which a picture is unknown, instead of the card's. explain: a folder for the
    pictures with what spoke for their answers.
    """
    file = find_model(model)
    if output is not None:
        check_output(output, force=force, inputs=itertools.chain([file], _files(paths)))
    identifier = Identifier.load(file, once=is_one(paths))
    if refuse_below is not None:
        if not identifier.has_familiarity:
            problem = "does not say how familiar a picture is"
            raise UsageError(problem, value=file, remedy="leave out --refuse-below, or use another model")
        identifier.refuse_below = refuse_below
    explainer = None if explain is None else Explainer(explain, identifier)
    if verbose or (model is None and (SHIPPED is None or file.parent.resolve() != SHIPPED.resolve())):
        # Which model answers depends on the folder that one stands in: never in silence.
        print(f"fruitcnn: identified by {printable(str(file))}", file=sys.stderr)
    write = FORMATS[format]
    if verbose and format == "json":
        write = functools.partial(json_lines, model=identifier.identity())
    if format == "csv":
        write = functools.partial(csv_lines, familiarity=identifier.has_familiarity)
    shown = top or (_TABLE_LABELS if format == "table" else None)
    rejected = 0

    def counted() -> Iterator[Identification | Rejection]:
        nonlocal rejected
        for source, result in _results(identifier, paths):
            if isinstance(result, Rejection):
                rejected += 1
                yield result
            else:
                if explainer is not None and source is not None:
                    explainer.write(source, result)
                yield result.top(shown)

    lines = write(counted(), identifier.card.labels)
    with standard_output() if output is None else opened_output(output, force=force) as stream:
        _write(lines, stream, ERRORS[format])
    return SOME_REJECTED if rejected else FINE


def _write(lines: Iterable[str], stream: TextIO, errors: str) -> None:
    if isinstance(stream, TextIOWrapper):
        # A file's name or a label may not be text in the stream's encoding: escape what is not, rather than fail.
        stream.reconfigure(errors=errors)
    for line in lines:
        stream.write(line)


def _results(
    identifier: Identifier, paths: Iterable[str]
) -> Iterator[tuple[Source | None, Identification | Rejection]]:
    """Each result with its source; None for a name that means nothing."""
    # Runs of sources go through the network in batches; a name that means nothing keeps its place between them.
    for rejected, items in itertools.groupby(_expanded(paths), key=lambda item: isinstance(item, Rejection)):
        if rejected:
            yield from ((None, rejection) for rejection in cast(Iterator[Rejection], items))
        else:
            named, again = itertools.tee(cast(Iterator[tuple[str, Source]], items))
            results = identifier.identify_many(source for _, source in again)
            for (name, source), result in zip(named, results, strict=True):
                yield source, dataclasses.replace(result, file=name)


def _expanded(paths: Iterable[str]) -> Iterator[tuple[str, Source] | Rejection]:
    for path in paths:
        try:
            for name in expand(path):
                yield name, read(name)
        except ImageError as error:
            yield Rejection.of(path, error)


def _files(paths: Iterable[str]) -> Iterator[str | int]:
    """What is read, 0 for standard input."""
    for path in paths:
        try:
            yield from (0 if name == STDIN else name for name in expand(path))
        except ImageError:
            # Said when its turn comes.
            continue
