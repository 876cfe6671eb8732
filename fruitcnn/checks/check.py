"""From a folder or list of labelled pictures to what is wrong with it, a page and a list to mend it by."""

import collections
import os
from pathlib import Path

import numpy as np

from fruitcnn.arrays import IntArray
from fruitcnn.checks.alike import duplicate_findings
from fruitcnn.checks.classes import class_findings
from fruitcnn.checks.finding import (
    BLANK,
    DAMAGED,
    FOREIGN,
    KINDS,
    TWO_LABELS,
    UNREADABLE,
    CheckedSet,
    Finding,
    dropped,
    kept,
)
from fruitcnn.checks.labels import label_findings, size_to_look_at
from fruitcnn.checks.quality import picture_sizes, quality_findings
from fruitcnn.dataset.duplicates import duplicate_groups, named_groups
from fruitcnn.dataset.fixes import fixes_text
from fruitcnn.dataset.pictures import read_pictures
from fruitcnn.dataset.records import Listing, Record
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.dataset.sources import read_listing
from fruitcnn.dataset.store import PixelRows, PixelStore
from fruitcnn.errors import UsageError
from fruitcnn.extras import naming_extras, require_extras
from fruitcnn.outputs import check_inputs_stay, check_output, made_folder, write_text
from fruitcnn.progress import Progress, part

PAGE = "check.html"


@naming_extras()
def check(
    data: str | os.PathLike[str],
    *,
    report: str | os.PathLike[str] | None = None,
    fixes: str | os.PathLike[str] | None = None,
) -> CheckedSet:
    """Look for mistakes in a set of labelled pictures, before a training. It changes no picture.

    Args:
        data: A folder with a folder for each class, or a CSV.
        report: A folder to write check.html to.
        fixes: A new CSV to write. It has a row for each picture that you could leave out or relabel, and
            `fruitcnn train --fixes` reads it.

    Returns:
        The findings.

    Raises:
        DatasetError: There is no set of labelled pictures.
        UsageError: An output would overwrite another file.

    Example:
        >>> checked = fruitcnn.check("dataset/sample")
        >>> checked.serious, checked.classes
        (False, {'grape': 100, 'pineapple': 100, 'strawberry': 100})
    """
    if report is not None:
        require_extras("report")
        _check_report(Path(report))
    if fixes is not None:
        check_output(Path(fixes), force=None)
    listing = read_listing(Path(data), distinct=False)
    checked, records = _checked(Path(data), listing)
    if report is not None:
        from fruitcnn.report.check_page import samples_of, write_check_page

        page = Path(report) / PAGE
        check_inputs_stay([page], (record.path for record in listing.records))
        with made_folder(page.parent):
            write_check_page(page, checked, samples_of(records, list(checked.classes)))
    if fixes is not None:
        write_text(Path(fixes), fixes_text(checked.fixes()))
    return checked


def _check_report(folder: Path) -> None:
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if (folder.exists() and not folder.is_dir()) or there - {PAGE} or (there and not _is_ours(folder / PAGE)):
        raise UsageError("holds other files", value=folder, remedy="name a new folder, or that of an earlier check")
    if not folder.absolute().parent.is_dir():
        raise UsageError("no such folder", value=folder.parent, remedy="make it first")


def _is_ours(page: Path) -> bool:
    return page.is_file() and b'content="fruitcnn' in page.read_bytes()[:2_000]


def _checked(data: Path, listing: Listing) -> tuple[CheckedSet, list[Record]]:
    """What was found, and the records with their hashes and errors, by name."""
    records = sorted(listing.records, key=lambda record: record.file)
    with Progress("checking pictures", 1.0):
        with part("looking at sizes", 0.05):
            sizes = picture_sizes(records)
        side = size_to_look_at(sizes)
        store = PixelStore({side, LOOK_SIZE})
        with part("reading pictures", 0.3):
            records = read_pictures(records, store)
        good = [index for index, record in enumerate(records) if not record.error]
        pictures = [records[index] for index in good]
        pixels = store.rows((record.sha256 for record in pictures), side)
        looks = store.rows((record.sha256 for record in pictures), LOOK_SIZE)
        groups = duplicate_groups(
            np.array([record.hashes for record in pictures], np.uint64).reshape(-1, 2), looks=looks
        )
        found, remarks = _picture_findings(pictures, pixels, groups, [sizes[index] for index in good])
    counted = collections.Counter(record.label for record in pictures)
    classes = {label: counted[label] for label in listing.labels}
    found += _file_findings(listing, records) + class_findings(classes, pictures, listing.spellings or listing.labels)
    if store.failure:
        remarks.append(f"decoded pictures are not kept in {store.folder}: {store.failure}")
    order = {kind: number for number, kind in enumerate(KINDS)}
    ordered = sorted(found, key=lambda finding: order[finding.kind])
    return CheckedSet(data, classes, tuple(ordered), (*listing.remarks, *remarks)), records


def _picture_findings(
    pictures: list[Record], pixels: PixelRows, groups: IntArray, sizes: list[tuple[int, int]]
) -> tuple[list[Finding], list[str]]:
    """Findings on N pictures that can be read, and remarks.

    pixels: [N, S, S, 3]; groups: [N], equal for near-duplicates; sizes: width, height [N].
    """
    if not pictures:
        return [], []
    with part("looking at pictures", 0.1):
        found, remarks = quality_findings(pictures, pixels, sizes)
        found += duplicate_findings(pictures, groups)
    # What the set itself calls a group is no news, but no independent witness either.
    together = named_groups([record.group for record in pictures], groups)
    blank, doubtful = (
        {record.file for one in found if one.kind in kinds for record in one.records}
        for kinds in ((BLANK,), (BLANK, TWO_LABELS))
    )
    trusted, shown = (np.array([record.file not in out for record in pictures]) for out in (doubtful, blank))
    labels, more = label_findings(pictures, pixels, together, trusted=trusted, shown=shown)
    return found + labels, remarks + more


def _file_findings(listing: Listing, records: list[Record]) -> list[Finding]:
    """What can't be read, what is damaged, and what is no picture."""
    found = []
    for record in records:
        if record.error:
            fixes = (dropped(record, record.error),)
            found.append(Finding(UNREADABLE, (record,), record.error, fixes))
        elif record.warning:
            found.append(Finding(DAMAGED, (record,), record.warning, (kept(record, record.warning),)))
    return found + [Finding(FOREIGN, note=str(path)) for path in listing.not_pictures]
