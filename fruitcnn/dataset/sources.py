"""From a folder or a CSV to the records that it names. Nothing is decoded here."""

import csv
import dataclasses
import io
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fruitcnn.dataset.records import CALIBRATION, SPLITS, TEST, TRAIN, VALIDATION, Record
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.listing import find_pictures, is_ignored, natural_key
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable

# The names that people give to the splits.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    CALIBRATION: CALIBRATION,
    **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}

# Control characters, halves of characters (from names that are not UTF-8), line and paragraph separators.
_NEVER_IN_LABELS = ("Cc", "Cs", "Zl", "Zp")


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder or CSV names: the photographs, the class names (an empty class too), and what lies among them.

    hidden: the number of hidden and system files; not_pictures: the other files that are no labelled pictures.
    """

    records: list[Record]
    labels: list[str]
    hidden: int = 0
    not_pictures: tuple[Path, ...] = ()


def read_listing(data: Path) -> Listing:
    """List the photographs of a folder of classes, a folder of splits of classes, or a CSV. Raises DatasetError."""
    try:
        if data.is_dir():
            return _read_folder(data)
        if data.is_file() and data.suffix.lower() == ".csv":
            return _read_csv(data)
        problem = "is neither a folder nor a .csv file" if data.exists() else "no such folder or file"
    except OSError as error:
        raise system_error(error, DatasetError) from error
    raise DatasetError(problem, value=data, remedy="give a folder of class folders, or a CSV with file,label")


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _read_folder(root: Path) -> Listing:
    folders = _subfolders(root)
    if not folders:
        raise DatasetError("has no class folders", value=root, remedy="put each class's pictures in its own folder")
    splits = _folders_of_splits(root, folders)
    if splits:
        classes = [(inner, split) for folder, split in splits.items() for inner in _subfolders(folder)]
    else:
        classes = [(folder, "") for folder in folders]
    records, rest = [], [path for path in root.iterdir() if not path.is_dir()]
    for folder, split in classes:
        label = _label(folder.name, where=folder)
        pictures, others = find_pictures(folder)
        records += [Record(_file_name(path.relative_to(root)), path, label, split) for path in pictures]
        rest += others
    ignored = sum(map(is_ignored, rest))
    labels = sorted({_label(folder.name, where=folder) for folder, _ in classes}, key=natural_key)
    return Listing(records, labels, ignored, tuple(path for path in rest if not is_ignored(path)))


def _folders_of_splits(root: Path, folders: list[Path]) -> dict[Path, str]:
    """The split that each folder stands for; empty where they are classes (of which one may be called "train")."""
    splits = {folder: _SPLIT_NAMES.get(folder.name.lower(), "") for folder in folders}
    named = set(splits.values()) - {""}
    if TRAIN not in named or (len(named) == 1 and len(folders) > 1):
        return {}
    extra = [printable(folder.name) for folder, split in splits.items() if not split]
    if extra:
        problem = f"has folders of splits ({', '.join(sorted(named))}) and others beside them: {', '.join(extra)}"
        raise DatasetError(problem, value=root, remedy="take those out, or call them train, validation or test")
    return splits


def _file_name(path: Path) -> str:
    """How the data set calls a file: its path with "/", and escapes for bytes that are no text."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _label(name: str, *, where: object) -> str:
    """A class's name in the one spelling (NFC) of several that look the same. Raises DatasetError."""
    label = unicodedata.normalize("NFC", name)
    if any(unicodedata.category(char) in _NEVER_IN_LABELS for char in label):
        problem = "the class's name has characters that can't be shown"
        raise DatasetError(problem, value=printable(str(where)), remedy="rename it, in UTF-8 and on one line")
    return label


def _read_csv(path: Path) -> Listing:
    try:
        with open_regular(path) as raw:
            text = io.StringIO(raw.read().decode("utf-8-sig"), newline="")
        reader = csv.DictReader(text, strict=True)
        columns = reader.fieldnames or []
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"can't be read as CSV ({error})", value=path, remedy="save it as UTF-8 CSV") from error
    if not {"file", "label"} <= set(columns):
        named = printable(", ".join(columns)[:200]) or "nothing"
        raise DatasetError(f"its first line names {named}", value=path, remedy="it must name file and label")
    # photos.csv may stand in the folder of the photographs or beside one that has its name.
    bases = (path.parent, path.with_suffix(""))
    records: dict[str, Record] = {}
    for line, row in rows:
        record = _record(row, bases, where=f"{path}, line {line}")
        if records.setdefault(record.file, record) != record:
            problem = f"{printable(record.file)} is listed twice, differently"
            raise DatasetError(problem, value=path, remedy="keep one of the rows")
    return Listing(list(records.values()), sorted({record.label for record in records.values()}, key=natural_key))


def _record(row: dict[str, str | None], bases: Iterable[Path], *, where: str) -> Record:
    file, label = (row["file"] or "").strip(), (row["label"] or "").strip()
    if not file or not label:
        raise DatasetError("has no file or no label", value=where, remedy="fill both in, or take the row out")
    if "\0" in file:
        raise DatasetError("the file's name has a NUL in it", value=where, remedy="mend it, or take the row out")
    split = (row.get("split") or "").strip() if "split" in row else None
    if split is not None and split.lower() not in _SPLIT_NAMES:
        raise DatasetError(f"unknown split {split!r}", value=where, remedy=f"use one of {', '.join(SPLITS)}")
    candidates = [base / file for base in bases]
    path = next((candidate for candidate in candidates if os.path.lexists(candidate)), candidates[0])
    known = _SPLIT_NAMES[split.lower()] if split is not None else ""
    return Record(file, path, _label(label, where=where), known, row.get("duplicate_group") or None)
