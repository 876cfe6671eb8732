"""Colours of every mode as RGB with 8 bits a channel, transparency over white."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from fruitcnn.errors import ImageError

# Rows that are turned into RGB at once.
STRIP = 256


def is_plain(image: Image.Image) -> bool:
    """Whether a picture is RGB already."""
    return image.mode == "RGB" and not image.has_transparency_data


def rgb_strips(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    """The picture from top to bottom, so many rows at a time, as (first row, RGB over white)."""
    if image.mode == "F":
        raise ImageError("a floating-point picture has no agreed brightness", remedy="save it with 8 bits a channel")
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if strip.mode.startswith("I"):
            # 16-bit greyscale: Pillow's own conversion clips at 255 instead of scaling.
            strip = Image.fromarray((np.asarray(strip).clip(0, 65535) // 257).astype(np.uint8))
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        yield top, strip.convert("RGB")
