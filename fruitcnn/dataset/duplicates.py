"""Which pictures are near-duplicates of one another, by their perceptual hashes."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Hamming distance of two 64-bit perceptual hashes up to which two pictures count as the same one. On the 1,704
# photographs of the original set 8 finds all 118 known pairs and one more; at 10 unrelated pictures begin to match.
NEAR = 8
# Pairs of pictures that are compared at once: bounds the memory for large sets.
_PAIRS = 1 << 20


def duplicate_groups(hashes: NDArray[np.uint64], *, known: list[str | None] | None = None) -> NDArray[np.int64]:
    """Group pictures that are near-duplicates, or near-duplicates of one another's mirror image, transitively.

    hashes: uint64 [N, 2], of each picture and of its mirror image. known: group names given by the data set, which
    join pictures too. Returns [N]: the index of the first picture of each one's group.
    """
    groups = np.arange(len(hashes))
    for alike in [*_near_duplicates(hashes), *_known_groups(known or [])]:
        joined = np.unique(groups[np.asarray(alike)])
        if len(joined) > 1:
            groups[np.isin(groups, joined)] = joined[0]
    return groups


def _near_duplicates(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.intp]]:
    """For each picture that has near-duplicates after it: its index and theirs."""
    rows = max(1, _PAIRS // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        block = hashes[start : start + rows]
        same = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 0])
        mirrored = np.bitwise_count(block[:, None, 0] ^ hashes[None, start:, 1])
        near = np.triu(np.minimum(same, mirrored) <= NEAR, 1)
        for row in np.flatnonzero(near.any(1)):
            yield start + np.append(row, np.flatnonzero(near[row]))


def _known_groups(known: list[str | None]) -> Iterator[list[int]]:
    members: dict[str, list[int]] = {}
    for index, name in enumerate(known):
        if name is not None:
            members.setdefault(name, []).append(index)
    yield from members.values()
