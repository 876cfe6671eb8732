"""Perceptual hashes: 64 bits that pictures which look alike nearly share."""

import numpy as np
from PIL import Image

# The size for which a picture is decoded to be hashed: one for all, so that groups do not depend on the recipe.
HASHED_SIZE = 96
_SIDE, _LOW = 32, 8
_n = np.arange(_SIDE)
# The lowest rows of the discrete cosine transform (type II, not normalised): [8, 32].
_COSINES = 2 * np.cos(np.pi * _n[:_LOW, None] * (2 * _n + 1) / (2 * _SIDE))
# Mirroring a picture changes the sign of its odd horizontal frequencies, and nothing else.
_MIRRORED = np.where(_n[:_LOW] % 2, -1.0, 1.0)
_BITS = np.uint64(1) << np.arange(_LOW * _LOW - 1, -1, -1, dtype=np.uint64)


def perceptual_hashes(image: Image.Image) -> tuple[int, int]:
    """The hash of an RGB picture and that of its mirror image, each 64 bits.

    A bit says whether one of the 8 x 8 lowest frequencies of the grey picture at 32 x 32 is above their median: the
    same bits as `phash` of the imagehash package (after "Looks Like It", N. Krawetz, 2011).
    """
    low = _low_frequencies(image, (0, 0, *image.size))
    return _bits(low), _bits(low * _MIRRORED)


def hash_within(image: Image.Image, margin: int) -> int:
    """The hash of an RGB picture without so many pixels at each side."""
    width, height = image.size
    return _bits(_low_frequencies(image, (margin, margin, width - margin, height - margin)))


def _low_frequencies(image: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    grey = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box)
    # Rounded, so that frequencies which a flat or symmetric picture lacks are 0 and not noise of either sign.
    low: np.ndarray = np.round(_COSINES @ np.asarray(grey, np.float64) @ _COSINES.T, 6)  # [8, 8]
    return low


def _bits(frequencies: np.ndarray) -> int:
    return int(_BITS[(frequencies > np.median(frequencies)).ravel()].sum())
