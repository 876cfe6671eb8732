"""A data set ready for training: checked, decoded, split. Files are read, never moved, changed or deleted."""

import collections
import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.pictures import read_pictures
from fruitcnn.dataset.records import CALIBRATION, SPLITS, TRAIN, VALIDATION, Dataset, Record
from fruitcnn.dataset.sources import Listing, read_listing
from fruitcnn.dataset.split import FEWEST_TO_CALIBRATE, assign_split, duplicate_groups
from fruitcnn.dataset.store import PixelStore
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.listing import find_pictures
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable


def scan(
    data: Path,
    *,
    sizes: Iterable[int],
    share: float,
    seed: int,
    calibration: float = 0.0,
    outside: Path | None = None,
    quiet: bool = True,
) -> Dataset:
    """Read a data set, keep its pixels at [size, size] for each of `sizes`, and split it where it is not split already.

    share: of the pictures that go to the validation split; calibration: of the rest that is set aside to calibrate on.
    outside: a folder of pictures of no class. The report says what was left out and why. Raises DatasetError for a set
    that can't be trained on, with the counts, and TransientError where the machine failed.
    """
    listing, store = read_listing(data), PixelStore(sizes)
    # By name, so that neither the file system's order nor the CSV's decides the split or the training.
    records = read_pictures(sorted(listing.records, key=lambda record: record.file), store, quiet=quiet)
    strangers = read_pictures(_outside(outside), store, quiet=quiet) if outside else []
    report = _report(listing, records + strangers)
    if store.failure:
        report.append(f"warning: decoded pictures are not kept in {store.folder}: {store.failure}")
    if not any(record.split == VALIDATION for record in records):
        records = _without_copies(records)
        report += _copies_report(records)
    good = [record for record in records if not record.error]
    _check_classes(data, listing.labels, good)
    groups = duplicate_groups(np.array([r.hashes for r in good], np.uint64), known=[r.group for r in good])
    splits = _split(data, good, groups, share=share, seed=seed)
    if calibration and CALIBRATION not in splits:
        splits = _set_aside([record.label for record in good], groups, splits, share=calibration, seed=seed)
        if CALIBRATION not in splits:
            report.append("too few pictures to set some aside for calibration: it is done on the validation split")
    named = {
        record.file: dataclasses.replace(record, split=split, group=good[group].file)
        for record, split, group in zip(good, splits, groups.tolist(), strict=True)
    }
    report += _leaks(list(named.values()))
    return Dataset(
        [named.get(record.file, record) for record in records],
        listing.labels,
        [printable(line) for line in report],
        lambda chosen, size: store.rows((record.sha256 for record in chosen), size),
        [record for record in strangers if not record.error],
    )


def _outside(folder: Path) -> list[Record]:
    if not folder.is_dir():
        raise DatasetError("no such folder", value=folder, remedy="mend data.outside, or leave it out")
    pictures, _ = find_pictures(folder)
    if not pictures:
        raise DatasetError("no pictures in this folder", value=folder, remedy="mend data.outside, or leave it out")
    return [Record(path.relative_to(folder).as_posix(), path, "") for path in pictures]


def apply_split(dataset: Dataset, saved: Path) -> Dataset:
    """The same data set with the split that a run saved. Raises DatasetError where the files have changed since."""
    rows = _read_split(saved)
    now = {record.file: (record.sha256, record.label) for record in dataset.pictures}
    changed = sorted(file for file in now.keys() | rows.keys() if now.get(file) != rows.get(file, ("", "", ""))[:2])
    if changed:
        problem = f"{len(changed)} files are not those of the run, {printable(changed[0])} first"
        raise DatasetError(problem, value=saved, remedy="restore the data, or start a new run")
    records = [
        record if record.error else dataclasses.replace(record, split=rows[record.file][2])
        for record in dataset.records
    ]
    return dataclasses.replace(dataset, records=records)


def _read_split(saved: Path) -> dict[str, tuple[str, str, str]]:
    """sha256, label and split by file name."""
    try:
        with open_regular(saved) as raw:
            reader = csv.DictReader(io.StringIO(raw.read().decode("utf-8"), newline=""), strict=True)
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


def _check_classes(data: Path, labels: list[str], pictures: list[Record]) -> None:
    counts = collections.Counter(record.label for record in pictures)
    listing = ", ".join(f"{label} {counts[label]}" for label in labels) or "none"
    folded = collections.Counter(label.casefold() for label in labels)
    alike = [label for label in labels if folded[label.casefold()] > 1]
    empty = [label for label in labels if not counts[label]]
    if alike:
        problem, remedy = f"classes differ only in letter case: {', '.join(alike)}", "rename or join them"
    elif empty:
        problem, remedy = f"no readable picture in: {', '.join(empty)}", "fill the class, or take it out"
    elif len(labels) < 2:
        problem, remedy = "a classifier needs two classes or more", "add a folder (or label) for each"
    else:
        return
    raise DatasetError(f"{problem} (pictures: {listing})", value=data, remedy=remedy)


def _split(data: Path, pictures: list[Record], groups: NDArray[np.int64], *, share: float, seed: int) -> list[str]:
    split = [record.split or TRAIN for record in pictures]
    if VALIDATION not in split:
        # What the data set itself calls test stays out of both.
        free = np.flatnonzero([name == TRAIN for name in split])
        labels = [pictures[index].label for index in free]
        for index, name in zip(free, assign_split(labels, groups[free], share=share, seed=seed), strict=True):
            split[index] = name
    for name in (TRAIN, VALIDATION):
        present = {record.label for record, side in zip(pictures, split, strict=True) if side == name}
        missing = {record.label for record in pictures} - present
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    return split


def _set_aside(labels: list[str], groups: NDArray[np.int64], split: list[str], *, share: float, seed: int) -> list[str]:
    """The split with a share of the training pictures to calibrate on, where that is enough of them."""
    training = np.flatnonzero(np.array(split) == TRAIN)
    if round(share * len(training)) < FEWEST_TO_CALIBRATE:
        return split
    kept = [labels[index] for index in training]
    names = assign_split(kept, groups[training], share=share, seed=seed, name=CALIBRATION)
    now = dict(zip(training.tolist(), names, strict=True))
    return [now.get(index, name) for index, name in enumerate(split)]


def _without_copies(records: list[Record]) -> list[Record]:
    """Of files with the same content, label and split, only the first takes part."""
    first: dict[tuple[str, str, str], str] = {}
    return [
        record
        if record.error or first.setdefault((record.sha256, record.label, record.split), record.file) == record.file
        else dataclasses.replace(record, error=f"{_COPY}{first[record.sha256, record.label, record.split]}")
        for record in records
    ]


_COPY = "exact copy of "


def _copies_report(records: list[Record]) -> list[str]:
    copies = [record for record in records if record.error.startswith(_COPY)]
    if not copies:
        return []
    return [f"left out {len(copies)} exact copies of other pictures, {copies[0].path} ({copies[0].error}) first"]


def _report(listing: Listing, records: list[Record]) -> list[str]:
    lines = [f"left out {record.path}: {record.error}" for record in records if record.error]
    if listing.others:
        lines.append(f"left out {len(listing.others)} files that are not labelled pictures, {listing.others[0]} first")
    if listing.ignored:
        lines.append(f"left out {listing.ignored} hidden and system files")
    return lines


def _leaks(pictures: list[Record]) -> list[str]:
    splits, labels = collections.defaultdict(set), collections.defaultdict(set)
    for record in pictures:
        splits[record.group].add(record.split)
        labels[record.group].add(record.label)
    across = [str(group) for group, names in splits.items() if len(names) > 1]
    torn = [str(group) for group, names in labels.items() if len(names) > 1]
    lines = []
    if across:
        lines.append(f"warning: {len(across)} pictures have near-duplicates in another split, {across[0]} first")
    if torn:
        lines.append(f"warning: {len(torn)} pictures appear under two labels, {torn[0]} first")
    return lines
