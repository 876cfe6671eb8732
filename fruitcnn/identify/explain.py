"""A picture with what spoke for an answer laid over it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FOR, _AGAINST = (255, 120, 0), (0, 90, 255)
# How much of a pixel the strongest evidence covers: what lies under it has to stay recognisable.
_COVER = 0.6


def overlay(image: Image.Image, evidence: NDArray[np.floating[Any]], index: int) -> Image.Image:
    """`image` (RGB) with orange where evidence [C, h, w] speaks for class `index`, and blue where it speaks against it.

    For and against is counted from the mean of all classes, since only differences of logits decide. The strongest
    place gets the full colour.
    """
    places = evidence[index] - evidence.mean(axis=0)  # [h, w]
    strength = places / max(float(np.abs(places).max()), 1e-9)
    # The bicubic filter can overshoot.
    smooth = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    cover = np.clip(np.asarray(smooth), -1, 1)[..., None] * _COVER  # [H, W, 1]
    colour = np.where(cover > 0, np.array(_FOR), np.array(_AGAINST))
    # In grey, the colours of the fruit can't be taken for evidence.
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    share = np.abs(cover)
    return Image.fromarray((grey * (1 - share) + colour * share).round().astype(np.uint8))
