"""Pictures that are one: exact copies, near-duplicates and mirror images, with their labels and splits."""

import collections

import numpy as np

from fruitcnn.arrays import IntArray
from fruitcnn.checks.finding import COPY, LEAK, NEAR, TWO_LABELS, Finding, dropped, kept
from fruitcnn.dataset.records import TRAIN, Record
from fruitcnn.wording import counted

_EXACT, _SIMILAR, _MIRRORED = "the same bytes", "near-duplicates", "mirror images"


def duplicate_findings(records: list[Record], groups: IntArray) -> list[Finding]:
    """What is wrong with pictures of one group. groups: [N], equal for near-duplicates among the N records."""
    members: dict[int, list[Record]] = collections.defaultdict(list)
    for record, group in zip(records, groups.tolist(), strict=True):
        members[group].append(record)
    several = [group for group in members.values() if len(group) > 1]
    return [finding for group in several for finding in _of_group(group)]


def _of_group(group: list[Record]) -> list[Finding]:
    found, how = [], _likeness(group)
    if len({record.label for record in group}) > 1:
        fixes = tuple(kept(record, f"{TWO_LABELS.name}, {how}") for record in group)
        found.append(Finding(TWO_LABELS, tuple(group), how, fixes))
    # What has no split goes where the others of its group are.
    if len({record.split for record in group} - {""}) > 1:
        # What is measured on stays, so that the figures can be compared with earlier ones.
        fixes = tuple((dropped if record.split == TRAIN else kept)(record, f"{LEAK.name}, {how}") for record in group)
        found.append(Finding(LEAK, tuple(group), how, fixes))
    same: dict[tuple[str, str, str], list[Record]] = collections.defaultdict(list)
    for record in group:
        same[record.sha256, record.label, record.split].append(record)
    for copies in same.values():
        if len(copies) > 1:
            fixes = tuple(dropped(copy, f"copy of {copies[0].file}") for copy in copies[1:])
            found.append(Finding(COPY, tuple(copies), fixes=fixes))
    if len({record.sha256 for record in group}) > 1:
        fixes = tuple(kept(record, f"{how} of {group[0].file}") for record in group[1:])
        found.append(Finding(NEAR, tuple(group), how if how != _SIMILAR else "", fixes))
    return found


def _likeness(group: list[Record]) -> str:
    """What the pictures of a group are to its first one."""
    if len({record.sha256 for record in group}) == 1:
        return _EXACT
    hashes = np.array([record.hashes for record in group], np.uint64)
    upright = np.bitwise_count(hashes[:, 0] ^ hashes[0, 0])
    turned = np.bitwise_count(hashes[:, 0] ^ hashes[0, 1])
    mirrored = int((turned < upright).sum())
    return counted(mirrored, "a mirror image", _MIRRORED) if mirrored > 1 else _MIRRORED if mirrored else _SIMILAR
