"""What people are told about a data set: what was left out and why, and what looks wrong."""

import collections
import dataclasses

from fruitcnn.dataset.records import Record
from fruitcnn.dataset.sources import Listing

_COPY = "exact copy of "


def left_out(listing: Listing, records: list[Record]) -> list[str]:
    """The files that take no part: unreadable pictures, files that are none, hidden ones."""
    lines = [f"left out {record.path}: {record.error}" for record in records if record.error]
    if listing.not_pictures:
        count = len(listing.not_pictures)
        lines.append(f"left out {count} files that are not labelled pictures, {listing.not_pictures[0]} first")
    if listing.hidden:
        lines.append(f"left out {listing.hidden} hidden and system files")
    return lines


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
    return [f"left out {len(copies)} exact copies of other pictures, {copies[0].path} ({copies[0].error}) first"]


def groups_torn_apart(pictures: list[Record]) -> list[str]:
    """Warnings of near-duplicates that lie in several splits, or under several labels."""
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
