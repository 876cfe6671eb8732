"""Training, calibration, validation: stratified, seeded, and no picture's near-duplicate on the other side."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.records import CALIBRATION, TRAIN, VALIDATION
from fruitcnn.errors import DatasetError

# Hamming distance of two 64-bit perceptual hashes up to which two pictures count as the same one. On the 1,704
# photographs of the original set 8 finds all 118 known pairs and one more; at 10 unrelated pictures begin to match.
NEAR = 8
# Fewer pictures say too little about a temperature, and nothing about the least familiar twentieth.
FEWEST_TO_CALIBRATE = 50
# Pairs of pictures that are compared at once: bounds the memory for large sets.
_PAIRS = 1 << 20


def duplicate_groups(hashes: NDArray[np.uint64], *, known: list[str | None] | None = None) -> NDArray[np.int64]:
    """Group pictures that are near-duplicates, or near-duplicates of one another's mirror image, transitively.

    hashes: uint64 [N, 2], of each picture and of its mirror image. known: group names given by the data set, which
    join pictures too. Returns [N]: the index of the first picture of each one's group.
    """
    groups = np.arange(len(hashes))
    for alike in [*_near(hashes), *_named(known or [])]:
        joined = np.unique(groups[np.asarray(alike)])
        if len(joined) > 1:
            groups[np.isin(groups, joined)] = joined[0]
    return groups


def assign_split(
    labels: list[str], groups: NDArray[np.int64], *, share: float, seed: int, name: str = VALIDATION
) -> list[str]:
    """Give whole groups to the split `name` until it has its share of each class; the rest is for training.

    labels: of N pictures; groups: int [N], equal for pictures that must stay on one side. A group that would give any
    class more than its share is for training; where a class has no group that small, its smallest one is taken.
    A class of only one group, which can't be on both sides, is for training; no class may miss in the validation
    split: DatasetError.
    """
    rng = np.random.default_rng(seed)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    label_of = np.array([numbers[label] for label in labels])
    names, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    contents = np.zeros((len(names), len(numbers)), np.int64)  # pictures of each group and class
    np.add.at(contents, (group_of, label_of), 1)
    wanted = np.maximum(1, np.round(share * contents.sum(0)).astype(np.int64))
    taken, chosen = np.zeros_like(wanted), np.zeros(len(names), bool)
    for label, number in numbers.items():
        # A group belongs to the class of its first picture, wherever its other members are filed.
        members = np.flatnonzero(label_of[first] == number)
        if len(members) < 2 and name == CALIBRATION:
            continue
        if len(members) < 2:
            raise _too_small(label, int(contents[:, number].sum()))
        for group in rng.permutation(members)[:-1]:
            if (taken + contents[group] <= wanted).all():
                chosen[group] = True
                taken += contents[group]
        if not taken[number]:
            smallest = members[contents[members].sum(1).argmin()]
            chosen[smallest] = True
            taken += contents[smallest]
    return [name if chosen[group] else TRAIN for group in group_of]


def _too_small(label: str, count: int) -> DatasetError:
    many = f"{count} pictures that are all the same one" if count > 1 else "1 picture"
    return DatasetError(
        f"class {label!r} is too small to split: {many}", remedy="add more pictures of it, or take the class out"
    )


def _near(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.intp]]:
    """For each picture that has near-duplicates after it: its index and theirs."""
    rows = max(1, _PAIRS // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        block = hashes[start : start + rows]
        same = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 0])
        mirrored = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 1])
        near = np.triu(np.minimum(same, mirrored) <= NEAR, 1)
        for row in np.flatnonzero(near.any(1)):
            yield start + np.append(row, np.flatnonzero(near[row]))


def _named(known: list[str | None]) -> Iterator[list[int]]:
    members: dict[str, list[int]] = {}
    for index, name in enumerate(known):
        if name is not None:
            members.setdefault(name, []).append(index)
    yield from members.values()
