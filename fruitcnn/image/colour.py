"""Colours of every mode as RGB with 8 bits a channel, transparency over white."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from fruitcnn.errors import ImageError
from fruitcnn.image.icc import ToSrgb, srgb_conversion
from fruitcnn.image.kinds import TIFF

# Rows that are turned into RGB at once.
STRIP = 256


class Levels(NamedTuple):
    """What the values of a greyscale picture with more than 8 bits mean: from 0, black, to `white`, or inverted."""

    white: int = 65535
    inverted: bool = False


def is_plain(image: Image.Image) -> bool:
    """Whether a picture is RGB already."""
    return image.mode == "RGB" and not image.has_transparency_data


class Colours(NamedTuple):
    """What the numbers of a picture mean."""

    levels: Levels = Levels()
    to_srgb: ToSrgb | None = None


def colours_of(image: Image.Image) -> Colours:
    """What the numbers of a picture mean, as its header says."""
    levels = Levels()
    if image.format == TIFF.decoder and image.mode.startswith("I"):
        from fruitcnn.image.tiff import tiff_levels

        levels = tiff_levels(image)
    return Colours(levels, srgb_conversion(image))


def is_deep(image: Image.Image) -> bool:
    """Whether a picture that is still to be decoded has 16 bits a channel: of those Pillow keeps the upper 8."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())[:1])


def darkness(image: Image.Image, levels: Levels) -> str:
    """A warning where a picture with 16 bits uses only a few, as 12 bits in 16 do, which is nearly black."""
    grey = image.mode.startswith("I")
    white = levels.white if grey else 255
    bands = [image] if grey else [image.getchannel(band) for band in image.getbands() if band not in "Aa"]
    brightest = max(int(np.asarray(band).max()) for band in bands)
    if levels.inverted or image.mode == "CMYK" or not 0 < 4 * brightest <= white:
        return ""
    return f"its brightest value is {brightest / white:.1%} of white: it may hold fewer bits than it says"


def rgb_strips(image: Image.Image, rows: int, colours: Colours) -> Iterator[tuple[int, Image.Image]]:
    """The picture from top to bottom, so many rows at a time, as (first row, sRGB over white)."""
    if image.mode == "F":
        raise ImageError("a floating-point picture has no agreed brightness", remedy="save it with 8 bits a channel")
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if strip.mode.startswith("I"):
            strip = _eight_bits(strip, colours.levels)
        yield top, _over_white(strip, colours.to_srgb)


def _eight_bits(strip: Image.Image, levels: Levels) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(strip).clip(0, levels.white).astype(np.uint32)
    if levels.inverted:
        values = levels.white - values
    return Image.fromarray((values * 255 // levels.white).astype(np.uint8))


def _over_white(strip: Image.Image, to_srgb: ToSrgb | None) -> Image.Image:
    if strip.mode == "La":
        strip = strip.convert("LA")
    alpha = strip.convert("RGBA").getchannel("A") if to_srgb and strip.has_transparency_data else None
    if to_srgb is not None:
        strip = to_srgb.convert(strip.convert(to_srgb.mode))
    if alpha is not None:
        strip.putalpha(alpha)
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
    return strip.convert("RGB")
