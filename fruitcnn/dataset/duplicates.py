"""Which pictures are near-duplicates of one another, by their perceptual hashes."""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import IntArray

# Hamming distance of two 64-bit perceptual hashes up to which two pictures count as the same one. On the 1,704
# photographs of the original set 8 finds all 118 known pairs and one more; at 10 unrelated pictures begin to match.
NEAR = 8
# Two hashes at most NEAR bits apart have a band that is at most 2 bits apart, be they cut into 4 bands of 16 bits or
# into 3 of 22, 22 and 20: only such pairs are compared. Of many hashes the wider bands leave fewer pairs.
_BAND_BITS, _WIDE_BAND_BITS, _MANY = 16, 22, 100_000
# Pairs of pictures that are compared at once: bounds the memory for large sets.
_PAIRS = 1 << 20


def duplicate_groups(hashes: NDArray[np.uint64], *, known: list[str | None] | None = None) -> IntArray:
    """Group pictures that are near-duplicates, or near-duplicates of one another's mirror image, transitively.

    hashes: uint64 [N, 2], of each picture and of its mirror image. known: group names given by the data set, which
    join pictures too. Returns [N]: the index of the first picture of each one's group.
    """
    # Of equal hashes one is compared; what they are near to, all are.
    distinct, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    groups = join_groups(np.arange(len(hashes)), np.arange(len(hashes)), first[which.ravel()])
    for one, other in near_pairs(distinct):
        groups = join_groups(groups, first[one], first[other])
    return named_groups(known, groups) if known else groups


def named_groups(names: list[str | None], groups: IntArray | None = None) -> IntArray:
    """The groups [N], where pictures of one name are in one, too; without `groups`, each is in its own before."""
    groups = np.arange(len(names)) if groups is None else groups
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, index), index) for index, name in enumerate(names) if name is not None]
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    return join_groups(groups, one, other)


def near_pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[IntArray, IntArray]]:
    """The indices of near-duplicates among different hashes, uint64 [N, 2], some at a time; a pair may come twice."""
    bits = _BAND_BITS if len(hashes) < _MANY else _WIDE_BAND_BITS
    for side in (0, 1):
        for shift in range(0, 64, bits):
            bands = (hashes >> np.uint64(shift)).astype(np.int64) & ((1 << bits) - 1)
            for one, other in _alike(bands[:, 0], bands[:, side], bits):
                near = np.bitwise_count(hashes[one, 0] ^ hashes[other, side]) <= NEAR
                near &= one < other
                yield one[near], other[near]


def _alike(bands: IntArray, others: IntArray, bits: int) -> Iterator[tuple[IntArray, IntArray]]:
    """All pairs of an index into `bands` and one into `others` where the two are at most 2 bits apart, in parts."""
    flips = [1 << bit for bit in range(bits)]
    changes = np.array([0, *flips, *(one | other for one, other in itertools.combinations(flips, 2))])
    order = np.argsort(others, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(others, minlength=1 << bits)))
    rows = _PAIRS // len(changes)
    for block in range(0, len(bands), rows):
        wanted = bands[block : block + rows, None] ^ changes  # [R, changes]
        first = starts[wanted]
        counts = starts[wanted + 1] - first
        cuts = np.searchsorted(np.cumsum(counts.sum(1)), np.arange(_PAIRS, counts.sum(), _PAIRS))
        for part in np.split(np.arange(len(wanted)), np.unique(cuts)):
            sizes = counts[part].ravel()
            # Each bucket from its first entry on, one after the other.
            place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            found = order[np.repeat(first[part].ravel(), sizes) + place]
            yield np.repeat(block + part, counts[part].sum(1)), found


def join_groups(groups: IntArray, one: IntArray, other: IntArray) -> IntArray:
    """The groups, each named by its first picture, where `one[k]` and `other[k]` are in the same for every k."""
    while True:
        lowest = groups.copy()
        np.minimum.at(lowest, groups[one], groups[other])
        np.minimum.at(lowest, groups[other], groups[one])
        lowest = lowest[lowest]
        if np.array_equal(lowest, groups):
            return groups
        groups = lowest
