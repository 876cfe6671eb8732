"""From a folder or a CSV to the list of labelled photographs that it names. Nothing is decoded here."""

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from fruitcnn.errors import DatasetError
from fruitcnn.listing import find_pictures, is_ignored, natural_key

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
# The names that people give to the three splits.
_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}


@dataclasses.dataclass(frozen=True)
class Photo:
    """A labelled file. `file` is how the data set calls it; `split` and `group` are None where it does not say."""

    file: str
    path: Path
    label: str
    split: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """What a folder or CSV names: the photographs, the class names (an empty class too), the files that are neither."""

    photos: list[Photo]
    labels: list[str]
    ignored: int = 0
    others: tuple[Path, ...] = ()


def read_source(data: Path) -> Source:
    """List the photographs of a folder of classes, a folder of splits of classes, or a CSV. Raises DatasetError."""
    if data.is_dir():
        return _read_folder(data)
    if data.is_file() and data.suffix.lower() == ".csv":
        return _read_csv(data)
    problem = "is neither a folder nor a .csv file" if data.exists() else "no such folder or file"
    raise DatasetError(problem, value=data, remedy="give a folder of class folders, or a CSV with file,label")


def _subfolders(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."), key=natural_key)


def _read_folder(root: Path) -> Source:
    folders = _subfolders(root)
    splits = {folder: _SPLIT_NAMES.get(folder.name.lower()) for folder in folders}
    if not folders:
        raise DatasetError("has no class folders", value=root, remedy="put each class's pictures in its own folder")
    loose = [path for path in root.iterdir() if path.is_file()]
    if TRAIN in splits.values() and None not in splits.values():
        classes = [(inner, split) for folder, split in splits.items() for inner in _subfolders(folder)]
    else:
        classes = [(folder, None) for folder in folders]
    photos, rest = [], loose
    for folder, split in classes:
        pictures, others = find_pictures(folder)
        photos += [Photo(path.relative_to(root).as_posix(), path, folder.name, split) for path in pictures]
        rest += others
    ignored = sum(map(is_ignored, rest))
    labels = sorted({folder.name for folder, _ in classes}, key=natural_key)
    return Source(photos, labels, ignored, tuple(path for path in rest if not is_ignored(path)))


def _read_csv(path: Path) -> Source:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"can't be read as CSV ({error})", value=path, remedy="save it as UTF-8 CSV") from error
    if not {"file", "label"} <= set(columns):
        raise DatasetError(
            f"its first line names {', '.join(columns) or 'nothing'}", value=path, remedy="it must name file and label"
        )
    # photos.csv may stand in the folder of the photographs or beside one that has its name.
    bases = (path.parent, path.with_suffix(""))
    photos: dict[str, Photo] = {}
    for line, row in rows:
        photo = _photo_of(row, bases, where=f"{path}, line {line}")
        if photos.setdefault(photo.file, photo) != photo:
            raise DatasetError(f"{photo.file} is listed twice, differently", value=path, remedy="keep one of the rows")
    return Source(list(photos.values()), sorted({photo.label for photo in photos.values()}, key=natural_key))


def _photo_of(row: dict[str, str | None], bases: Iterable[Path], *, where: str) -> Photo:
    file, label = (row["file"] or "").strip(), (row["label"] or "").strip()
    if not file or not label:
        raise DatasetError("has no file or no label", value=where, remedy="fill both in, or take the row out")
    split = row.get("split")
    if split is not None:
        if split.strip().lower() not in _SPLIT_NAMES:
            raise DatasetError(f"unknown split {split!r}", value=where, remedy=f"use one of {', '.join(SPLITS)}")
        split = _SPLIT_NAMES[split.strip().lower()]
    candidates = [base / file for base in bases]
    path = next((candidate for candidate in candidates if candidate.is_file()), candidates[0])
    return Photo(file, path, label, split, row.get("duplicate_group") or None)
