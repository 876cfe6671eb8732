"""A list of what to do with single pictures of a set: leave out, relabel or keep. The files themselves stay."""

import csv
import dataclasses
import io
from pathlib import Path
from typing import Final

from fruitcnn.dataset.labels import check_distinct, clean_label
from fruitcnn.dataset.records import Listing, Record
from fruitcnn.errors import DatasetError, system_error
from fruitcnn.listing import natural_key
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable

DROP: Final = "drop"
RELABEL: Final = "relabel"
KEEP: Final = "keep"
ACTIONS = (DROP, RELABEL, KEEP)
COLUMNS = ("file", "label", "action", "new_label", "reason")


@dataclasses.dataclass(frozen=True)
class Fix:
    """What to do with one picture.

    Attributes:
        file: The name of the picture in its set.
        label: Its label in the set.
        action: "drop", "relabel" or "keep".
        new_label: The label to give it, with "relabel".
        reason: Why.
    """

    file: str
    label: str
    action: str
    new_label: str
    reason: str


def fixes_text(fixes: list[Fix]) -> str:
    """The list as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(dataclasses.astuple(fix) for fix in fixes)
    return text.getvalue()


def read_fixes(path: Path) -> list[Fix]:
    """The rows of a list. Raises DatasetError, with the line, for what can't be meant."""
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8-sig", "surrogateescape")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, {name: (row.get(name) or "").strip() for name in COLUMNS}) for row in reader]
        columns = reader.fieldnames or []
    except OSError as error:
        raise system_error(error, DatasetError, value=path) from error
    except csv.Error as error:
        raise DatasetError(f"can't be read as CSV ({error})", value=path, remedy="save it as UTF-8 CSV") from error
    if not {"file", "action"} <= set(columns):
        named = printable(", ".join(columns))[:200] or "nothing"
        raise DatasetError(f"its first line names {named}", value=path, remedy=f"it must name {', '.join(COLUMNS)}")
    return [_fix(row, where=f"{path}, line {line}") for line, row in rows if row["file"]]


def _fix(row: dict[str, str], *, where: str) -> Fix:
    action = row["action"].casefold()
    if action not in ACTIONS:
        problem = f"unknown action {printable(row['action'])!r}"
        raise DatasetError(problem, value=where, remedy=f"use one of {', '.join(ACTIONS)}")
    if action == RELABEL and not row["new_label"]:
        raise DatasetError("relabels to nothing", value=where, remedy="fill in new_label")
    new_label = clean_label(row["new_label"], where=where) if action == RELABEL else ""
    return Fix(row["file"], row["label"], action, new_label, row["reason"])


def with_fixes(listing: Listing, path: Path) -> Listing:
    """The listing, as a list of fixes wants it, with a remark on what was done.

    Raises DatasetError for a list that is none, or of another set: it relabels a file that is not there, or one that
    has another label by now.
    """
    by_file = {record.file: record for record in listing.records}
    wanted = {fix.file: fix for fix in read_fixes(path) if fix.action != KEEP}
    for fix in wanted.values():
        record = by_file.get(fix.file)
        known = record is not None and fix.label in ("", record.label, fix.new_label)
        # What is to be left out may have been removed by hand.
        if not known and not (record is None and fix.action == DROP):
            problem = "is not in the set" if record is None else f"is labelled {record.label} there, not {fix.label}"
            raise DatasetError(
                f"{fix.file} {problem}", value=path, remedy="make the list again (fruitcnn dataset check)"
            )
    records = [_fixed(record, wanted.get(record.file)) for record in listing.records]
    kept = [record for record in records if record is not None]
    dropped = len(records) - len(kept)
    relabelled = sum(new.label != by_file[new.file].label for new in kept)
    emptied = {record.label for record in listing.records} - {record.label for record in kept}
    labels = set(listing.labels) - emptied | {record.label for record in kept}
    check_distinct(labels, value=path)
    remark = f"by {path}: {dropped:,} left out, {relabelled:,} relabelled"
    ordered = sorted(labels, key=natural_key)
    return dataclasses.replace(listing, records=kept, labels=ordered, remarks=(*listing.remarks, remark))


def _fixed(record: Record, fix: Fix | None) -> Record | None:
    if fix is None:
        return record
    return None if fix.action == DROP else dataclasses.replace(record, label=fix.new_label)
