"""Where rows go: to standard output, a stream, or a file that appears whole, whose rows survive a stop."""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import TextIO

from fruitcnn import __version__
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.partial import Partial, partial_output
from fruitcnn.identify.request import PARQUET, Request
from fruitcnn.identify.results import Rejection
from fruitcnn.identify.writers import ROW_FORMATS, RowFormat
from fruitcnn.outputs import is_stream, opened_output
from fruitcnn.progress import Progress
from fruitcnn.terminal import standard_output


@dataclasses.dataclass
class Rows:
    """Where rows go that nobody can go on with; see `Partial`."""

    stream: TextIO
    done: int = 0
    kinds: "collections.Counter[str]" = dataclasses.field(default_factory=collections.Counter)
    has_header: bool = False


@contextlib.contextmanager
def opened_rows(
    names: list[str | Rejection], identifier: Identifier, request: Request, *, one: bool
) -> Iterator[Rows | Partial]:
    """Where the rows go: those of several pictures into a file that keeps them if this is stopped."""
    if request.output is None:
        with standard_output() as stream:
            yield Rows(stream)
    elif request.format == PARQUET or is_stream(request.output) or (one and not request.resume):
        with opened_output(request.output, force=request.force) as stream:
            yield Rows(stream)
    else:
        origin = {"model": "{name} ({sha256})".format(**identifier.identity()), **_settings(names, request)}
        row_format = ROW_FORMATS[request.format]
        with partial_output(request.output, origin, row_format, force=request.force, resume=request.resume) as partial:
            yield partial


def _settings(names: list[str | Rejection], request: Request) -> dict[str, str]:
    """What else decides the rows, in words."""
    from hashlib import sha256

    shown = "\0".join(name if isinstance(name, str) else name.file for name in names)
    digest = sha256(os.fsencode(shown)).hexdigest()[:12]
    options = {
        "--format": request.format,
        "--top": request.top,
        "--refuse-below": request.refuse_below,
        "--every": request.every,
        "--verbose": request.verbose,
    }
    return {
        **{name: "not given" if value is None else str(value) for name, value in options.items()},
        "pictures": f"{len(names):,} ({digest})",
        "version": __version__,
    }


def write_rows(lines: Iterable[str], stream: TextIO, row_format: RowFormat, progress: Progress) -> None:
    """Write each row as it is known."""
    if isinstance(stream, TextIOWrapper):
        # A file's name or a label may not be text in the stream's encoding: escape what is not, rather than fail.
        stream.reconfigure(errors=row_format.encoding_errors)
    shares_terminal = stream.isatty()
    for line in lines:
        if shares_terminal:
            progress.hide()
        stream.write(line)
        # Whoever reads gets each row as it is known.
        stream.flush()
