"""split.csv: which picture of a run went where, so that it can be gone on with.

Columns: file, sha256, label, split, hash (the perceptual one, in hex). It lists what `train` takes, too.
"""

import collections
import csv
import dataclasses
import io
from pathlib import Path

from fruitcnn.dataset.records import SPLITS, TRAIN, VALIDATION, Dataset, Record
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.outputs import written_whole
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# A file's name may hold bytes that are no text; they come back as they were.
NAMES = "surrogateescape"


def apply_split(dataset: Dataset, saved: Path) -> Dataset:
    """The same data set with the split that a run saved. Raises DatasetError where the files have changed since."""
    rows = _read_split(saved)
    now = {record.file: (record.sha256, record.label) for record in dataset.pictures}
    changed = sorted(file for file in now.keys() | rows.keys() if now.get(file) != rows.get(file, ("", "", ""))[:2])
    if changed:
        files = counted(len(changed), "file is not as in the run", "files are not as in the run")
        problem = f"{files}: {printable(changed[0])}{' first' * (len(changed) > 1)}"
        raise DatasetError(problem, value=saved, remedy="restore the data, or start a new run")
    records = [
        record if record.error else dataclasses.replace(record, split=rows[record.file][2])
        for record in dataset.records
    ]
    return dataclasses.replace(dataset, records=records)


def keep_split(records: list[Record], saved: Path) -> list[Record]:
    """The records, where those whose content a run's split.csv names have the split that they had there.

    A split of the data set's own other than train stays; what it calls train has none where it names no validation,
    as `split_pictures` takes it. Raises DatasetError where the file can't be read or names none of the pictures.
    """
    rows = _read_split(saved)
    by_content: dict[str, set[str]] = collections.defaultdict(set)
    for sha256, _, split in rows.values():
        by_content[sha256].add(split)
    if not any(record.sha256 in by_content for record in records):
        remedy = "give the split.csv of a run on these pictures, or leave data.split out"
        raise DatasetError("names none of these pictures", value=saved, remedy=remedy)
    is_divided = any(record.split == VALIDATION for record in records)

    def split_of(record: Record) -> str:
        if record.split not in ("", TRAIN):
            return record.split
        row = rows.get(record.file)
        # Of a content that lies on both sides, as copies may, the file's name tells which is meant.
        there = {row[2]} if row and row[0] == record.sha256 else by_content.get(record.sha256, set())
        if len(there) == 1:
            return next(iter(there))
        return record.split if is_divided else ""

    return [dataclasses.replace(record, split=split_of(record)) for record in records]


def write_split(dataset: Dataset, path: Path) -> None:
    """Write split.csv whole."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", errors=NAMES, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "sha256", "label", "split", "hash"])
        writer.writerows((r.file, r.sha256, r.label, r.split, f"{r.hashes[0]:016x}") for r in dataset.pictures)


def _read_split(saved: Path) -> dict[str, tuple[str, str, str]]:
    """sha256, label and split by file name."""
    try:
        with open_regular(saved) as raw:
            reader = csv.DictReader(io.StringIO(raw.read().decode("utf-8", NAMES), newline=""), strict=True)
            rows = {row["file"]: (row["sha256"], row["label"], row["split"]) for row in reader}
    except OSError as error:
        raise system_error(error, DatasetError, value=saved) from error
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise _damaged_split(saved) from error
    if not rows or any(split not in SPLITS for _, _, split in rows.values()):
        raise _damaged_split(saved)
    return rows


def _damaged_split(saved: Path) -> DatasetError:
    return DatasetError("is damaged", value=saved, remedy="restore it, or start a new run")
