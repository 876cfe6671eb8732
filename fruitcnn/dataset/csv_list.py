"""From a CSV (file, label and, if it has them, split and duplicate_group) to the records that it lists."""

import codecs
import collections
import csv
import dataclasses
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.dataset.labels import clean_label
from fruitcnn.dataset.layout import SPLIT_NAMES
from fruitcnn.dataset.records import SPLITS, Listing, Record
from fruitcnn.errors import DatasetError
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable

_FILE, _LABEL, _SPLIT, _GROUP = COLUMNS = ("file", "label", "split", "duplicate_group")
# What separates the cells, the likeliest first.
_SEPARATORS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclasses.dataclass(frozen=True)
class _Row:
    """The cells of a row by their columns, outer blanks and all; where: what errors name."""

    where: str
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "").strip()


def read_csv(path: Path) -> Listing:
    """List the pictures of a CSV, whose paths start in its own folder or in the one of its name beside it.

    Separated by comma, semicolon, tab or bar; UTF-8 or UTF-16. Raises DatasetError and OSError.
    """
    text = _read_text(path)
    try:
        rows = list(_rows(path, text))
    except csv.Error as error:
        raise DatasetError(f"can't be read as CSV ({error})", value=path, remedy="save it as UTF-8 CSV") from error
    if not rows:
        raise DatasetError("names no pictures, it has a first line only", value=path, remedy="add a row for each")
    # photos.csv may stand in the folder of the photographs or beside one that has its name.
    bases = (path.parent, path.with_suffix(""))
    records: dict[str, Record] = {}
    by_inode: dict[tuple[int, int], Record] = {}
    for row in rows:
        record, inode = _record(row, bases)
        before = records.setdefault(record.file, record)
        if inode:
            other = by_inode.setdefault(inode, record)
            # Hard links are two files, of the same content.
            before = other if other.path.resolve() == record.path.resolve() else before
        if (before.label, before.split, before.group) != (record.label, record.split, record.group):
            names = " and ".join(dict.fromkeys(map(printable, (before.file, record.file))))
            problem = f"{names} is listed twice, differently" if names == before.file else f"{names} are one file"
            raise DatasetError(problem, value=path, remedy="keep one of the rows")
    return Listing(list(records.values()), [record.label for record in records.values()])


def _read_text(path: Path) -> str:
    """The text; bytes that are none, as names of files may have, come through as halves of characters."""
    with open_regular(path) as file:
        data = file.read()
    try:
        if data.startswith(_UTF16):
            return data.decode("utf-16")
        if b"\0" in data[:2]:
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    except UnicodeDecodeError as error:
        raise DatasetError(f"can't be read as UTF-16 ({error})", value=path, remedy="save it as UTF-8 CSV") from error
    return data.decode("utf-8-sig", "surrogateescape")


def _rows(path: Path, text: str) -> Iterator[_Row]:
    """The rows below the first line that says something, without those that say nothing."""
    first = next((line for line in re.split(r"[\r\n]+", text) if line.strip()), "")
    separator = next((one for one in _SEPARATORS if {_FILE, _LABEL} <= set(_columns(first, one))), _SEPARATORS[0])
    # Blanks behind each separator belong to the layout; elsewhere they may belong to the name of a file.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=f"{separator} " in first
    )
    filled = (cells for cells in reader if any(map(str.strip, cells)))
    columns = [_column(cell) for cell in next(filled, [])]
    twice = [name for name, count in collections.Counter(columns).items() if count > 1 and name in COLUMNS]
    if not {_FILE, _LABEL} <= set(columns):
        named = printable(first[:200]) or "nothing"
        raise DatasetError(f"its first line names {named}", value=path, remedy="it must name file and label")
    if twice:
        raise DatasetError(f"has two columns called {twice[0]}", value=path, remedy="rename one of them")
    for cells in filled:
        where = f"{path}, line {reader.line_num}"
        if any(map(str.strip, cells[len(columns) :])):
            problem = f"has {len(cells)} cells, the first line {len(columns)}"
            raise DatasetError(problem, value=where, remedy=f"put a name that has a {separator!r} in it in quotes")
        yield _Row(where, dict(zip(columns, cells, strict=False)))


def _columns(line: str, separator: str) -> list[str]:
    try:
        return [_column(cell) for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]
    except csv.Error:
        return []


def _column(cell: str) -> str:
    return cell.strip().casefold()


def _record(row: _Row, bases: tuple[Path, ...]) -> tuple[Record, tuple[int, int] | None]:
    """The record of a row, and what identifies its file on this machine; None where there is no such file."""
    if not row[_FILE] or not row[_LABEL]:
        raise DatasetError("has no file or no label", value=row.where, remedy="fill both in, or take the row out")
    if "\0" in row[_FILE]:
        raise DatasetError("the file's name has a NUL in it", value=row.where, remedy="mend it, or take the row out")
    if row[_SPLIT] and row[_SPLIT].casefold() not in SPLIT_NAMES:
        problem = f"unknown split {printable(row[_SPLIT])!r}"
        raise DatasetError(problem, value=row.where, remedy=f"use one of {', '.join(SPLITS)}, or leave it empty")
    name, path = _find(row, bases)
    try:
        there = path.stat()
    except OSError:
        there = None
    if not (_is_text(row[_LABEL]) and (there or _is_text(name))):
        raise DatasetError("is not UTF-8", value=row.where, remedy="save the list as UTF-8 CSV")
    file = Path(os.path.normpath(name)).as_posix()
    label = clean_label(row[_LABEL], where=row.where)
    record = Record(file, path, label, SPLIT_NAMES.get(row[_SPLIT].casefold(), ""), row[_GROUP] or None)
    return record, (there.st_dev, there.st_ino) if there else None


def _find(row: _Row, bases: tuple[Path, ...]) -> tuple[str, Path]:
    """The name of a row's file and its path: as it is written, without outer blanks, or with / for each backslash."""
    spellings = dict.fromkeys((row.cells[_FILE], row[_FILE], row[_FILE].replace("\\", "/")))
    for name in spellings:
        for base in bases:
            if os.path.lexists(base / name):
                return name, base / name
    # Where its folder is, it should be.
    name = row[_FILE]
    base = next((base for base in bases if os.path.exists(base / Path(name).parts[0])), bases[0])  # noqa: PTH110
    return name, base / name


def _is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)
