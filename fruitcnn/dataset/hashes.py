"""Perceptual hashes: 64 bits that pictures which look alike nearly share."""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fruitcnn.image import Pixels

# The size for which a picture is decoded to be hashed: one for all, so that groups do not depend on the recipe.
HASHED_SIZE = 96
_SIDE, _LOW = 32, 8
_n = np.arange(_SIDE)
# The lowest rows of the discrete cosine transform (type II, not normalised): [8, 32].
_COSINES = 2 * np.cos(np.pi * _n[:_LOW, None] * (2 * _n + 1) / (2 * _SIDE))
# Mirroring a picture changes the sign of its odd horizontal frequencies, and nothing else.
_MIRRORED = np.where(_n[:_LOW] % 2, -1.0, 1.0)
# How much of red, green and blue is in a grey.
GREY = np.array([0.299, 0.587, 0.114], np.float32)
_BITS = np.uint64(1) << np.arange(_LOW * _LOW - 1, -1, -1, dtype=np.uint64)


def perceptual_hashes(image: Image.Image) -> tuple[int, int]:
    """The hash of an RGB picture and that of its mirror image, each 64 bits.

    A bit says whether one of the 8 x 8 lowest frequencies of the grey picture at 32 x 32 is above their median: the
    same bits as `phash` of the imagehash package (after "Looks Like It", N. Krawetz, 2011).
    """
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    low = _COSINES @ np.asarray(grey, np.float64) @ _COSINES.T  # [8, 8]
    plain, mirrored = _bits(np.stack([low, low * _MIRRORED])).tolist()
    return plain, mirrored


def hashes_within(pictures: Pixels, margin: int) -> NDArray[np.uint64]:
    """The hash [K] of what lies within so many pixels at each side of pictures [K, S, S, 3]: of a crop, nearly."""
    within = pictures[:, margin:-margin, margin:-margin].astype(np.float32) @ GREY
    smaller = _smaller(within.shape[1])
    return _bits(smaller @ within.astype(np.float64) @ smaller.T)


@functools.cache
def _smaller(side: int) -> NDArray[np.float64]:
    """From a row of so many pixels to the lowest frequencies of 32, as Pillow resizes: [8, side]."""
    weights = Image.fromarray(np.eye(side, dtype=np.float32)).resize((_SIDE, side), Image.Resampling.LANCZOS)
    found: NDArray[np.float64] = _COSINES @ np.asarray(weights, np.float64).T
    return found


def _bits(frequencies: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The hash [K] of frequencies [K, 8, 8]."""
    # Rounded, so that frequencies which a flat or symmetric picture lacks are 0 and not noise of either sign.
    rows = np.round(frequencies, 6).reshape(len(frequencies), -1)
    bits: NDArray[np.uint64] = np.where(rows > np.median(rows, axis=1, keepdims=True), _BITS, 0).sum(1, np.uint64)
    return bits
