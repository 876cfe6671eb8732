"""Pictures drawn from random numbers, for comparing exports where no photograph is at hand."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from fruitcnn.image import Pixels

_FRUIT = ((94, 40, 120), (142, 182, 60), (214, 160, 40), (200, 30, 45), (240, 120, 130), (250, 250, 245))


def draw(rng: Generator, width: int, height: int) -> Image.Image:
    """Fruit-coloured discs on a soft background, RGBA, more and more transparent towards the upper left."""
    coarse = Image.fromarray(rng.integers(60, 256, (4, 5, 3), np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.2) * max(width, height)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_FRUIT[rng.integers(len(_FRUIT))])
    alpha = np.add.outer(np.linspace(0, 128, height), np.linspace(0, 127, width))
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def draw_squares(size: int, count: int) -> Pixels:
    """Such pictures without their transparency, always the same: uint8 [count, size, size, 3]."""
    rngs = (np.random.default_rng([size, index]) for index in range(count))
    return np.stack([np.asarray(draw(rng, size, size).convert("RGB")) for rng in rngs])
