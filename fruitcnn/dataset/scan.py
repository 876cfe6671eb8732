"""A data set ready for training: checked, decoded, split. Files are read, never moved, changed or deleted."""

import collections
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fruitcnn.arrays import IntArray
from fruitcnn.dataset.duplicates import duplicate_groups, named_groups
from fruitcnn.dataset.fixes import with_fixes
from fruitcnn.dataset.labels import check_not_reserved
from fruitcnn.dataset.layout import folder_to_give
from fruitcnn.dataset.pictures import read_pictures
from fruitcnn.dataset.records import VALIDATION, Dataset, Record
from fruitcnn.dataset.remarks import copies_left_out, damaged, groups_torn_apart, left_out, without_copies
from fruitcnn.dataset.saved_split import keep_split
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.dataset.sources import read_listing
from fruitcnn.dataset.split import GROUP, OFF, SplitRules, split_pictures
from fruitcnn.dataset.store import PixelStore
from fruitcnn.errors import DatasetError
from fruitcnn.listing import find_pictures
from fruitcnn.terminal import printable

_DEFAULT = SplitRules()


def scan(
    data: Path,
    *,
    sizes: Iterable[int],
    rules: SplitRules = _DEFAULT,
    outside: Path | None = None,
    saved_split: Path | None = None,
    fixes: Path | None = None,
) -> Dataset:
    """Read a data set, keep its pixels at [size, size] for each of `sizes`, and split it where it is not split already.

    outside: a folder of pictures of no class. saved_split: a split.csv whose pictures keep their sides. fixes: a list
    of pictures to leave out or relabel. The report says what was left out and why. Raises DatasetError for a set that
    can't be trained on, with the counts, and TransientError where the machine failed.
    """
    # Both are listed before a picture of either is read.
    listing, others, store = read_listing(data), _outside(outside) if outside else [], PixelStore({*sizes, LOOK_SIZE})
    listing = listing if fixes is None else with_fixes(listing, fixes)
    check_not_reserved(listing.labels, value=data)
    # By name, so that neither the file system's order nor the CSV's decides the split or the training.
    records = read_pictures(sorted(listing.records, key=lambda record: record.file), store)
    of_no_class = read_pictures(others, store)
    read = records + of_no_class
    report = left_out(listing, read) + damaged((str(record.path), record.warning) for record in read)
    if store.failure:
        report.append(f"warning: decoded pictures are not kept in {store.folder}: {store.failure}")
    if not any(record.split == VALIDATION for record in records):
        records = without_copies(records)
        report += copies_left_out(records)
    if saved_split is not None:
        records = keep_split(records, saved_split)
    good = [record for record in records if not record.error]
    _check_classes(data, listing.labels, records, rules.fewest_classes)
    near, known = _groups(good, rules, store)
    split = split_pictures(data, good, near if rules.near_duplicates == GROUP else known, rules)
    named = {
        record.file: dataclasses.replace(record, split=name, group=good[group].file)
        for record, name, group in zip(good, split.names, split.groups.tolist(), strict=True)
    }
    report += split.remarks
    report += groups_torn_apart(list(named.values()), split.groups if rules.near_duplicates == GROUP else near)
    return Dataset(
        [named.get(record.file, record) for record in records],
        listing.labels,
        [printable(line) for line in report],
        lambda chosen, size: store.rows((record.sha256 for record in chosen), size),
        [record for record in of_no_class if not record.error],
        listing.records,
    )


def _groups(pictures: list[Record], rules: SplitRules, store: PixelStore) -> tuple[IntArray, IntArray]:
    """The groups [N] of near-duplicates, where they are looked for, and those that the data set itself names [N]."""
    names = [picture.group for picture in pictures]
    known = named_groups(names)
    if rules.near_duplicates == OFF:
        return known, known
    hashes = np.array([picture.hashes for picture in pictures], np.uint64)
    looks = store.rows((picture.sha256 for picture in pictures), LOOK_SIZE)
    return duplicate_groups(hashes, looks=looks, known=names), known


def _outside(folder: Path) -> list[Record]:
    if not folder.is_dir():
        raise DatasetError("no such folder", value=folder, remedy="mend data.outside, or leave it out")
    pictures, _ = find_pictures(folder)
    if not pictures:
        raise DatasetError("no pictures in this folder", value=folder, remedy="mend data.outside, or leave it out")
    return [Record(path.relative_to(folder).as_posix(), path, "") for path in pictures]


def _check_classes(data: Path, labels: list[str], records: list[Record], fewest: int) -> None:
    counts = collections.Counter(record.label for record in records if not record.error)
    found = ", ".join(f"{label} {counts[label]}" for label in labels) or "none"
    empty = [label for label in labels if not counts[label]]
    if empty:
        problem, remedy = f"no readable picture in: {', '.join(empty)}", "fill the class, or take it out"
        first = next((record for record in records if record.label == empty[0]), None)
        found += f"; {first.path}: {first.error}" if first else ""
    elif len(labels) < fewest:
        problem, remedy = "a classifier needs two classes or more", "add a folder (or label) for each"
        deeper = folder_to_give(data) if data.is_dir() else None
        remedy = f"give {deeper}, if its folders are the classes" if deeper else remedy
    else:
        return
    raise DatasetError(printable(f"{problem} (pictures: {found})"), value=data, remedy=printable(remedy))
