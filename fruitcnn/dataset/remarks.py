"""What people are told about a data set: what was left out and why, and what looks wrong."""

import collections
import dataclasses
from collections.abc import Iterable

from fruitcnn.arrays import IntArray
from fruitcnn.dataset.records import Listing, Record
from fruitcnn.wording import counted

_COPY = "exact copy of "
# So many pictures are named in a line.
_NAMED = 5


def left_out(listing: Listing, records: list[Record]) -> list[str]:
    """The files that take no part: unreadable pictures, files that are none, hidden ones."""
    alike: dict[str, list[Record]] = collections.defaultdict(list)
    for record in records:
        if record.error:
            alike[record.error].append(record)
    lines = [*listing.remarks]
    for error, bad in alike.items():
        first = f"{bad[0].path}: {error}"
        lines.append(f"left out {first}" if len(bad) == 1 else f"left out {len(bad)} pictures, {first} (the first)")
    if listing.not_pictures:
        one, many = "file that is not a labelled picture", "files that are not labelled pictures"
        count = counted(len(listing.not_pictures), one, many)
        lines.append(f"left out {count}, {listing.not_pictures[0]} first")
    if listing.hidden:
        lines.append(f"left out {counted(listing.hidden, 'hidden and system file', 'hidden and system files')}")
    return lines


def damaged(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """Those of some pictures, each its name and what its decoder warns of, that have a warning."""
    warned = [(name, warning) for name, warning in warnings if warning]
    if not warned:
        return []
    count = counted(len(warned), "picture was decoded with damage", "pictures were decoded with damage")
    return [f"warning: {count}, {', '.join(name for name, _ in warned[:_NAMED])} ({warned[0][1]})"]


def without_copies(records: list[Record]) -> list[Record]:
    """Of files with the same content, label and split, only the first takes part."""
    first: dict[tuple[str, str, str], str] = {}
    return [
        record
        if record.error or first.setdefault((record.sha256, record.label, record.split), record.file) == record.file
        else dataclasses.replace(record, error=f"{_COPY}{first[record.sha256, record.label, record.split]}")
        for record in records
    ]


def copies_left_out(records: list[Record]) -> list[str]:
    """How many files `without_copies` has left out, where it has."""
    copies = [record for record in records if record.error.startswith(_COPY)]
    if not copies:
        return []
    count = counted(len(copies), "exact copy of another picture", "exact copies of other pictures")
    return [f"left out {count}, {copies[0].path} ({copies[0].error}) first"]


def groups_torn_apart(pictures: list[Record], group_of: IntArray) -> list[str]:
    """Warnings of near-duplicates, N pictures in groups [N], that lie in several splits, or under several labels."""
    groups: dict[int, list[Record]] = collections.defaultdict(list)
    for record, group in zip(pictures, group_of.tolist(), strict=True):
        groups[group].append(record)
    across = [members for members in groups.values() if len({record.split for record in members}) > 1]
    torn = [members for members in groups.values() if len({record.label for record in members}) > 1]
    lines = []
    if across:
        lines.append(f"warning: {_count(across)} of near-duplicates lie in several splits, {across[0][0].file} first")
    if torn:
        shown = "; ".join(map(_by_label, torn[:_NAMED]))
        lines.append(f"warning: {_count(torn)} of near-duplicates have several labels: {shown}")
    return lines


def _by_label(members: list[Record]) -> str:
    """The first picture of each label in a group."""
    first: dict[str, str] = {}
    for record in members:
        first.setdefault(record.label, record.file)
    shown = [f"{file} ({label})" for label, file in first.items()][:_NAMED]
    return " with ".join(shown)


def _count(groups: list[list[Record]]) -> str:
    return f"{sum(map(len, groups)):,} pictures in {counted(len(groups), 'group', 'groups')}"
