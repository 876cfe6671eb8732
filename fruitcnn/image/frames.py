"""Animations: the frame that stands for one is the first that shows something."""

import numpy as np
from PIL import Image

from fruitcnn.image.colour import STRIP, Colours, rgb_strips

# Pillow's names of what can be an animation.
ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
# Where a film fades in, it does so within two seconds; and no file may make us decode for ever.
_MOST_FRAMES = 50
_MOST_PIXELS = 50_000_000
# Grey levels that lossy compression can make of one.
_FLAT = 4
# Larger pictures are taken as they begin.
LARGEST = 5_000_000


def show_first(image: Image.Image, colours: Colours) -> None:
    """Leave a decoded animation at its first frame that is not of one colour all over; at its first, if all are."""
    pixels = image.width * image.height
    if pixels > LARGEST or not getattr(image, "is_animated", False) or _shows_something(image, colours):
        return
    for number in range(1, min(_MOST_FRAMES, _MOST_PIXELS // pixels)):
        try:
            image.seek(number)
            image.load()
        except MemoryError:
            raise
        except Exception:
            # No further frame, or none that can be read.
            break
        if _shows_something(image, colours):
            return
    image.seek(0)
    image.load()


def _shows_something(image: Image.Image, colours: Colours) -> bool:
    lowest, highest = np.full(3, 255), np.zeros(3, int)
    for _, strip in rgb_strips(image, STRIP, colours):
        pixels = np.asarray(strip)
        lowest, highest = np.minimum(lowest, pixels.min((0, 1))), np.maximum(highest, pixels.max((0, 1)))
        if (highest - lowest).max() > _FLAT:
            return True
    return False
