"""From an RGB picture of any shape to the square of pixels that a model takes."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels: TypeAlias = NDArray[np.uint8]

FILTERS = {"bilinear": Image.Resampling.BILINEAR}
RESIZE_RULES = ("squash",)


def resize(image: Image.Image, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Resize an RGB image to uint8 pixels [size, size, 3]. `squash` ignores the aspect ratio and loses no content.

    Across first, then down, rounded to whole grey levels after each. Pillow 13 chooses the order by a picture's shape,
    older ones always go across first; two calls make one resize of both, which other programs can follow.
    """
    if rule not in RESIZE_RULES:
        raise ValueError(f"unknown resize rule {rule!r}")
    across = image.resize((size, image.height), FILTERS[filter])
    return np.asarray(across.resize((size, size), FILTERS[filter]))
