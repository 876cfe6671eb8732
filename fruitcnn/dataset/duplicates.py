"""Which pictures are near-duplicates of one another: their perceptual hashes propose, a second look decides."""

import itertools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.hashes import hashes_within
from fruitcnn.dataset.second_look import are_same
from fruitcnn.image import Pixels

# Hamming distance of two 64-bit perceptual hashes up to which two pictures count as the same one, where there is no
# second look. On the 1,704 photographs of the original set 8 finds all 118 pairs that are known; at 10 unrelated
# pictures begin to match, and so do most copies that were cropped a little: up to there a second look is worth it.
NEAR, WORTH_A_LOOK = 8, 10
# A crop is proposed by the hash of what lies within so many of a small picture's 64 pixels.
_WITHIN = 2
# A hash's bands of 16 bits. Of two at most `most` bits apart one band is at most `_radius(band, most)` bits apart: only
# such pairs are compared.
_BANDS, _BAND_BITS = 4, 16
# Pairs of hashes that are compared at once: few enough to stay in the processor's cache.
_PAIRS = 1 << 18
# The same of pictures at 8 x 8, and of those that are laid over each other.
_PRODUCTS, _LOOKS = 1024, 64
# So many pictures of one hash are compared with all others, further ones with as many before them in the set; and so
# often a picture is looked at in vain. Without that 20,000 drawings of one form would be 200 million pairs.
_ALIKE, _PATIENCE = 64, 24
# Correlation of the colours at 8 x 8, below which two pictures need no closer look.
_COARSE, LEAST_LIKENESS = 8, 0.85


class Looks(Protocol):
    """Small pictures: indices [K] give uint8 [K, 64, 64, 3]."""

    def __getitem__(self, index: IntArray) -> Pixels: ...


def duplicate_groups(
    hashes: NDArray[np.uint64], *, looks: Looks | None = None, known: list[str | None] | None = None
) -> IntArray:
    """Group pictures that are near-duplicates, or near-duplicates of one another's mirror image, transitively.

    hashes: uint64 [N, 2], of each picture and of its mirror image. looks: the N small pictures, for a second look;
    without them the hashes alone decide. known: group names given by the data set, which join pictures too.
    Returns [N]: the index of the first picture of each one's group.
    """
    groups = _by_hash(hashes) if looks is None else _by_looks(hashes, looks)
    return named_groups(known, groups) if known else groups


def _by_hash(hashes: NDArray[np.uint64]) -> IntArray:
    # Of equal hashes one is compared; what they are near to, all are.
    distinct, first, which = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    groups = join_groups(np.arange(len(hashes)), np.arange(len(hashes)), first[which.ravel()])
    for one, other, _ in near_pairs(distinct):
        # A pass over all pictures, and most parts have no pair.
        groups = join_groups(groups, first[one], first[other]) if len(one) else groups
    return groups


def _by_looks(hashes: NDArray[np.uint64], looks: Looks) -> IntArray:
    groups, vain = np.arange(len(hashes)), np.zeros(len(hashes), np.int64)
    coarse = _Coarse(len(hashes), looks)
    for one, other, mirrored in _worth_a_look(hashes, looks):
        alike = coarse.likeness(one, other, mirrored)
        # The likeliest first: what they join need not be looked at.
        order = np.argsort(-alike, kind="stable")[: (alike >= LEAST_LIKENESS).sum()]
        for part in np.split(order, range(_LOOKS, len(order), _LOOKS)):
            open_ = groups[one[part]] != groups[other[part]]
            open_ &= (vain[one[part]] < _PATIENCE) | (vain[other[part]] < _PATIENCE)
            first, second = one[part[open_]], other[part[open_]]
            if not len(first):
                continue
            seen = looks[second]
            same = are_same(looks[first], seen[:, :, ::-1] if mirrored else seen)
            groups = join_groups(groups, first[same], second[same])
            np.add.at(vain, np.r_[first[~same], second[~same]], 1)
    return groups


class _Coarse:
    """The pictures at 8 x 8, as unit vectors whose products say how alike they are in form and colour."""

    def __init__(self, count: int, looks: Looks) -> None:
        self._vectors = np.zeros((count, _COARSE, _COARSE, 3), np.float32)
        self._is_known, self._has_contrast = np.zeros(count, bool), np.zeros(count, bool)
        self._looks = looks

    def likeness(self, one: IntArray, other: IntArray, mirrored: bool) -> Float32Array:
        """Correlation [K] of pictures, or of pictures and mirror images; 1 for two that are flat."""
        self._read(np.concatenate([one, other]))
        products = [np.ones(0, np.float32)]
        for start in range(0, len(one), _PRODUCTS):
            first = self._vectors[one[start : start + _PRODUCTS]]
            second = self._vectors[other[start : start + _PRODUCTS]]
            products.append(np.einsum("kxyc,kxyc->k", first, second[:, :, ::-1] if mirrored else second))
        flat = ~(self._has_contrast[one] & self._has_contrast[other])
        return np.where(flat, np.float32(1), np.concatenate(products))

    def _read(self, wanted: IntArray) -> None:
        new = np.unique(wanted[~self._is_known[wanted]])
        for part in np.split(new, range(_LOOKS, len(new), _LOOKS)) if len(new) else []:
            self._vectors[part] = vectors = coarse_vectors(self._looks[part])
            self._has_contrast[part] = vectors.any((1, 2, 3))
        self._is_known[new] = True


def coarse_vectors(pictures: Pixels) -> Float32Array:
    """Small pictures [K, S, S, 3] at 8 x 8, as unit vectors [K, 8, 8, 3]; 0 where there is no contrast to go by."""
    count, side = pictures.shape[:2]
    cell = side // _COARSE
    rows = pictures.reshape(count, _COARSE, cell, side * 3).sum(2, dtype=np.float32)
    small = rows.reshape(count, _COARSE, _COARSE, cell, 3).sum(3) / cell**2
    small -= small.mean((1, 2, 3), keepdims=True)
    length = np.sqrt((small**2).sum((1, 2, 3), keepdims=True))
    return np.where(length > 8 * _COARSE, small / np.maximum(length, 1), np.float32(0))


def _worth_a_look(hashes: NDArray[np.uint64], looks: Looks) -> Iterator[tuple[IntArray, IntArray, bool]]:
    """The pairs of pictures that a second look is for, each once at most in each direction."""
    _, which = np.unique(hashes, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    sets = which.ravel()[order]
    place = np.arange(len(sets)) - np.searchsorted(sets, sets)
    kept = np.sort(order[place < _ALIKE])
    for one, other, mirrored in near_pairs(hashes[kept], WORTH_A_LOOK):
        yield kept[one], kept[other], mirrored
    for back in range(1, _ALIKE + 1):
        (further,) = np.nonzero(place >= max(_ALIKE, back))
        if len(further):
            yield order[further - back], order[further], False
    for one, other, mirrored in _crops(hashes[kept], _hashes_within(kept, looks)):
        yield kept[one], kept[other], mirrored


def _hashes_within(pictures: IntArray, looks: Looks) -> NDArray[np.uint64]:
    """The hash of what lies within each picture's margin, uint64 [K]."""
    parts = [pictures[start : start + _LOOKS] for start in range(0, len(pictures), _LOOKS)]
    return np.concatenate([np.zeros(0, np.uint64), *(hashes_within(looks[part], _WITHIN) for part in parts)])


def _crops(hashes: NDArray[np.uint64], within: NDArray[np.uint64]) -> Iterator[tuple[IntArray, IntArray, bool]]:
    """The pairs of which one may be a crop of the other, and whose hashes, uint64 [N, 2], are too far apart to say so.

    within: of what lies within each one's margin, uint64 [N].
    """
    for side in (0, 1):
        for one, other in _near(within, hashes[:, side], WORTH_A_LOOK):
            new = np.bitwise_count(hashes[one, 0] ^ hashes[other, side]) > WORTH_A_LOOK
            # Where each lies within the other, the first says it.
            new &= (one < other) | (np.bitwise_count(within[other] ^ hashes[one, side]) > WORTH_A_LOOK)
            yield one[new], other[new], side == 1


def named_groups(names: list[str | None], groups: IntArray | None = None) -> IntArray:
    """The groups [N], where pictures of one name are in one, too; without `groups`, each is in its own before."""
    groups = np.arange(len(names)) if groups is None else groups
    first: dict[str, int] = {}
    pairs = [(first.setdefault(name, index), index) for index, name in enumerate(names) if name is not None]
    one, other = np.array(pairs, np.int64).reshape(-1, 2).T
    return join_groups(groups, one, other)


def near_pairs(hashes: NDArray[np.uint64], most: int = NEAR) -> Iterator[tuple[IntArray, IntArray, bool]]:
    """The indices of hashes, uint64 [N, 2], at most `most` bits apart, some at a time.

    Each pair once as it is and once (True) for the one picture and the mirror image of the other.
    """
    for side in (0, 1):
        for one, other in _near(hashes[:, 0], hashes[:, side], most):
            before = one < other
            yield one[before], other[before], side == 1


def _near(hashes: NDArray[np.uint64], others: NDArray[np.uint64], most: int) -> Iterator[tuple[IntArray, IntArray]]:
    """The indices of a hash and of one of `others`, uint64 [N] each, at most `most` bits apart, each pair once."""
    for band in range(min(_BANDS, most + 1)):
        order = np.argsort(_band(others, band), kind="stable")
        sorted_ = others[order]
        for rows, counts, places in _alike(_band(hashes, band), _band(sorted_, band), _radius(band, most)):
            apart = np.repeat(hashes[rows], counts) ^ sorted_[places]
            (near,) = np.nonzero(np.bitwise_count(apart) <= most)
            for earlier in range(band):
                found_before = np.bitwise_count(_band(apart[near], earlier)) <= _radius(earlier, most)
                near = near[~found_before]
            yield rows[np.searchsorted(np.cumsum(counts), near, side="right")], order[places[near]]


def _band(hashes: NDArray[np.uint64], band: int) -> IntArray:
    return (hashes >> np.uint64(band * _BAND_BITS)).astype(np.int64) & ((1 << _BAND_BITS) - 1)


def _radius(band: int, most: int) -> int:
    """How far apart a band may be: were each further apart than that, all would be by more than `most` together."""
    return (most - band) // _BANDS


def _alike(bands: IntArray, others: IntArray, radius: int) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """All pairs of one of `bands` and one of `others`, which are in order, at most `radius` bits apart, in parts.

    Of each part: the indices into `bands` [R], how many pairs each has [R], and the indices into `others`, of one after
    the other [their sum].
    """
    flips = [1 << bit for bit in range(_BAND_BITS)]
    changes = np.array([sum(some) for count in range(radius + 1) for some in itertools.combinations(flips, count)])
    starts = np.searchsorted(others, np.arange((1 << _BAND_BITS) + 1))
    step = max(1, _PAIRS // len(changes))
    for block in range(0, len(bands), step):
        wanted = bands[block : block + step, None] ^ changes  # [R, changes]
        first = starts[wanted]
        sizes = starts[wanted + 1] - first
        counts = sizes.sum(1)
        cuts = np.searchsorted(np.cumsum(counts), np.arange(_PAIRS, counts.sum(), _PAIRS))
        for part in np.split(np.arange(len(wanted)), np.unique(cuts)):
            size, total = sizes[part].ravel(), counts[part].sum()
            # Each bucket from its first entry on, one after the other.
            places = np.arange(total) + np.repeat(first[part].ravel() - np.cumsum(size) + size, size)
            yield block + part, counts[part], places


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
