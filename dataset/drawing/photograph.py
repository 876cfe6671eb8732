"""From the canvas to a picture as a camera would take it."""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from dataset.drawing.canvas import GAMMA, Canvas, as_image


def photograph(canvas: Canvas, size: int, rng: Generator) -> Image.Image:
    """Expose the canvas: falling light, a shoulder in the highlights, soft focus, then the noise of the sensor."""
    n = canvas.size
    x = np.linspace(-0.5, 0.5, n, dtype=np.float32)
    y = x[:, None]
    falling = 1 + rng.uniform(-0.5, 0.5) * x + rng.uniform(-0.5, 0.5) * y - rng.uniform(0, 0.6) * (x * x + y * y)
    light = canvas.rgb * falling
    light *= np.clip(rng.uniform(0.2, 0.42) / light.mean(), 0.6, 2.2)
    shown = (light * (1 + light / 4) / (1 + light / 2)) ** np.float32(1 / GAMMA)
    image = as_image(shown).resize((size, size), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(max(0.0, rng.normal(0.2, 0.35)) * size / 160))
    grain = rng.standard_normal((3, size, size), np.float32) * rng.uniform(0.003, 0.025)
    return as_image(np.moveaxis(np.asarray(image, np.float32) / 255, -1, 0) + grain)
