"""What the sources of a large run mean, as a stream of names: folders, globs, lists in CSV or Parquet, remote ones."""

import csv
import glob
import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fruitcnn.cluster.folder_walk import walked_pictures
from fruitcnn.cluster.remote_files import is_remote, remote_pictures, remote_root
from fruitcnn.errors import ImageError, UsageError, system_error
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.identify.inputs import STDIN, expand, glob_pattern
from fruitcnn.identify.results import Rejection
from fruitcnn.listing import natural_key
from fruitcnn.regular_files import open_regular

FILE = "file"
_LISTS = (".csv", ".parquet")
# Names that are put into order, or read from a list, at a time.
_TOGETHER = 100_000


def is_list(source: str) -> bool:
    """Whether a source is a list of names."""
    return source.lower().endswith(_LISTS) and not is_remote(source)


def streamed_names(sources: Collection[str]) -> Iterator[str | Rejection]:
    """The pictures that the sources mean, in their order, in constant memory; one that means none is a Rejection.

    Lists, CSV and Parquet, have a column `file`; relative names start in the list's own folder. Raises UsageError for a
    list that can't be read, or that names what lies where no source does: a stranger's list opens no connection.
    """
    roots = {remote_root(source) for source in sources if is_remote(source) or is_address(source)}
    for source in sources:
        try:
            names = _names(source, roots)
            first = next(names, None)
        except ImageError as error:
            yield Rejection.of(source, error)
            continue
        if first is None:
            what = "list; add some" if is_list(source) else "folder; name a folder of photographs"
            yield Rejection(source, f"no pictures in this {what}")
        else:
            yield from itertools.chain([first], names)


def _names(source: str, roots: Collection[str]) -> Iterator[str]:
    if source == STDIN:
        raise UsageError("can't be read twice", value=source, remedy="save it as a file, and name that")
    if is_remote(source):
        return remote_pictures(source)
    if is_list(source):
        return _listed(source, roots)
    if os.path.isdir(source):  # noqa: PTH112 (pathlib raises where a folder above is locked)
        # As pathlib writes paths, which is how a plain identify names pictures.
        here = str(Path(source))
        pictures = walked_pictures(here)
        return (picture.removeprefix("./") for picture in pictures) if here == "." else pictures
    if not os.path.lexists(source) and glob.has_magic(source):
        return _matching(source)
    return iter(expand(source))


def _matching(pattern: str) -> Iterator[str]:
    found = glob.iglob(glob_pattern(pattern), recursive=True)  # noqa: PTH207 (absolute patterns too)
    files = (match for match in found if not os.path.isdir(match))  # noqa: PTH112
    is_any = False
    while chunk := sorted(itertools.islice(files, _TOGETHER), key=natural_key):
        is_any = True
        yield from chunk
    if not is_any:
        raise ImageError("matches no file", value=pattern, remedy="check the pattern")


def _listed(source: str, roots: Collection[str]) -> Iterator[str]:
    """The names of a list; a relative one starts in its folder, and is shown with it. Remote ones lie at `roots`."""
    folder = os.path.dirname(source)  # noqa: PTH120 (a name stays as it is written)
    names = _from_parquet(source) if source.lower().endswith(".parquet") else _from_csv(source)
    try:
        for name in names:
            if not is_remote(name) and not is_address(name):
                yield os.path.join(folder, name)  # noqa: PTH118
            elif remote_root(name) in roots:
                yield name
            else:
                problem = f"stands in {source} alone, and what only a file names is not fetched"
                remedy = "name a picture or folder of the same place on the command line too, if you trust the list"
                raise UsageError(problem, value=shown_address(name), remedy=remedy)
    except OSError as error:
        raise system_error(error, UsageError, value=source) from error


def _from_csv(source: str) -> Iterator[str]:
    with open_regular(source) as binary:
        lines = (
            line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape")
            for number, line in enumerate(binary)
        )
        reader = csv.reader(lines, strict=True)
        try:
            header = [cell.strip().casefold() for cell in next(reader, [])]
            if FILE not in header:
                raise UsageError(f"has no column called {FILE}", value=source, remedy=f"begin it with a line: {FILE}")
            column = header.index(FILE)
            for row in reader:
                if any(map(str.strip, row)):
                    yield _name(row[column] if len(row) > column else None, f"{source}, line {reader.line_num}")
        except csv.Error as error:
            raise UsageError(f"can't be read as CSV ({error})", value=source, remedy="save it as UTF-8 CSV") from error


def _from_parquet(source: str) -> Iterator[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with open_regular(source) as binary, parquet.ParquetFile(binary) as file:
            if FILE not in file.schema_arrow.names:
                raise UsageError(f"has no column called {FILE}", value=source, remedy="rename one")
            row = itertools.count(1)
            for batch in file.iter_batches(_TOGETHER, columns=[FILE]):
                for cell in batch.column(0).to_pylist():
                    yield _name(cell, f"{source}, row {next(row)}")
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UsageError(f"can't be read as Parquet ({error})", value=source, remedy="write it again") from error


def _name(cell: Any, where: str) -> str:
    """A name as a text: names that are no UTF-8 come as bytes. Raises UsageError for what names no file."""
    name = os.fsdecode(cell) if isinstance(cell, bytes) else cell
    if not isinstance(name, str) or not name or "\0" in name:
        raise UsageError("names no file", value=where, remedy="fill it in, or take the row out")
    return name
