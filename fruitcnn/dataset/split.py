"""Training, validation and test: stratified, seeded, and no picture's near-duplicate on the other side."""

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.sources import TRAIN, VALIDATION
from fruitcnn.errors import DatasetError

# Hamming distance of two 64-bit perceptual hashes up to which two pictures count as the same one. On the 1,704
# photographs of the original set 8 finds all 118 known pairs and one more; at 10 unrelated pictures begin to match.
NEAR = 8
# Rows of the distance matrix that are compared at once: bounds the memory for large sets.
_BLOCK = 512


def duplicate_groups(hashes: NDArray[np.uint64], *, known: list[str | None] | None = None) -> NDArray[np.int64]:
    """Group pictures that are near-duplicates, or near-duplicates of one another's mirror image, transitively.

    hashes: uint64 [N, 2], of each picture and of its mirror image. known: group names given by the data set, which
    join pictures too. Returns [N]: the index of the first picture of each one's group.
    """
    groups = np.arange(len(hashes))
    for first, second in [*_near_pairs(hashes), *_known_pairs(known or [])]:
        low, high = sorted((groups[first], groups[second]))
        if low != high:
            groups[groups == high] = low
    return groups


def assign_split(labels: list[str], groups: NDArray[np.int64], *, share: float, seed: int) -> list[str]:
    """Give whole groups to the validation split until each class has its share; the rest is for training.

    labels: of N pictures; groups: int [N], equal for pictures that must stay on one side.
    Raises DatasetError where a class has only one group, which can't be on both sides.
    """
    rng = np.random.default_rng(seed)
    split = np.full(len(labels), TRAIN, dtype=object)
    of_label = np.array(labels)
    names, first = np.unique(groups, return_index=True)
    for label in sorted(set(labels)):
        # A group belongs to the class of its first picture, wherever its other members are filed.
        members = names[of_label[first] == label]
        if len(members) < 2:
            count = int((of_label == label).sum())
            raise DatasetError(
                f"class {label!r} is too small to split: {count} pictures that are all the same one"
                if count > 1
                else f"class {label!r} is too small to split: 1 picture",
                remedy="add more pictures of it, or take the class out",
            )
        wanted = max(1, round(share * (of_label == label).sum()))
        for group in rng.permutation(members)[:-1]:
            if np.count_nonzero((split == VALIDATION) & (of_label == label)) >= wanted:
                break
            split[groups == group] = VALIDATION
    return split.tolist()


def _near_pairs(hashes: NDArray[np.uint64]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        same = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 0])
        mirrored = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 1])
        rows, columns = np.nonzero(np.minimum(same, mirrored) <= NEAR)
        pairs += [(start + r, start + c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if r < c]
    return pairs


def _known_pairs(known: list[str | None]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    return [(first.setdefault(name, index), index) for index, name in enumerate(known) if name is not None]
