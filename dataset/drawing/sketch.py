"""From the canvas to a picture drawn by hand on paper: with pen, pen and wash, or crayon."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dataset.drawing.canvas import GAMMA, Array, Canvas, Layers, as_image, blur, clamp, linear, mix
from dataset.drawing.shapes import noise, smooth

PAPERS = ("#fbfaf5", "#f4ecd8", "#fefefe", "#e7dcc4", "#dfe6ea", "#d2b48c")
INKS = ("#1c1a1a", "#20254a", "#3a2618", "#4a4a4a")


@dataclass(frozen=True)
class Sheet:
    """What is at hand to draw with: `paper` and the subject's `colour` (3, n, n), its `tone` (n, n), and the ink."""

    paper: Array
    colour: Array
    tone: Array
    ink: Array


def sketch(canvas: Canvas, size: int, rng: Generator) -> Image.Image:
    """Redraw what is painted on the canvas, `size` by `size`; where nothing is painted the paper stays."""
    colour, layer = unsteady(canvas, rng)
    drawn, n = layer > 0, canvas.size
    paper = linear(PAPERS[rng.integers(len(PAPERS))]) * (0.94 + 0.1 * noise(rng, (n, n), (n // 3, n // 3)))
    sheet = Sheet(paper, colour, tones(colour, drawn), linear(INKS[rng.integers(len(INKS))]))
    medium, weight = ((pen, 0.9), (wash, 0.9), (crayon, 0.6))[rng.integers(3)]
    filled = np.where(drawn, medium(sheet, rng), paper)
    details = smooth(0.02, 0.09, blur(sheet.tone, n / 60) - sheet.tone) * drawn
    finished = mix(filled, sheet.ink, weight * np.maximum(outline(layer, rng), details))
    return as_image(finished ** (1 / GAMMA)).resize((size, size), Image.Resampling.BOX)


def tones(colour: Array, drawn: NDArray[np.bool_]) -> Array:
    """How light the subject is (n, n), its darkest parts 0 and its lightest 1, whatever light it stands in."""
    bright = colour.mean(axis=0)
    dark, light = np.quantile(bright[drawn], (0.04, 0.92)).tolist()
    return clamp((bright - dark) / (light - dark + 1e-3)) ** (1 / GAMMA)


def unsteady(canvas: Canvas, rng: Generator) -> tuple[Array, Layers]:
    """The colours (3, n, n) and layers (n, n) of the canvas, displaced a little, as by a hand that is not a ruler."""
    n = canvas.size
    down, across = ((noise(rng, (n, n), (9, 9), 2) - 0.5) * 0.03 * n for _ in range(2))
    rows = np.clip(np.arange(n)[:, None] + down, 0, n - 1).astype(np.int32)
    cols = np.clip(np.arange(n) + across, 0, n - 1).astype(np.int32)
    return canvas.rgb[:, rows, cols], canvas.layer[rows, cols]


def outline(layer: Layers, rng: Generator) -> Array:
    """The lines (n, n), 0 to 1, between shapes, thicker and thinner as the pen is pressed."""
    n = len(layer)
    line = np.zeros((n, n), np.uint8)
    line[1:] |= layer[1:] != layer[:-1]
    line[:, 1:] |= layer[:, 1:] != layer[:, :-1]
    thick = np.asarray(Image.fromarray(line * 255).filter(ImageFilter.MaxFilter(3)), np.float32) / 255
    return thick * smooth(0.1, 0.45, noise(rng, (n, n), (14, 14), 2))


def strokes(n: int, angle: float, count: float, rng: Generator) -> Array:
    """Waves (n, n), -1 to 1, across `count` parallel strokes that are not quite straight."""
    x = np.linspace(0, 1, n, dtype=np.float32)
    across = x * math.cos(angle) + x[:, None] * math.sin(angle)
    return np.sin(2 * math.pi * (across * count + 1.5 * noise(rng, (n, n), (6, 6))))


def pen(sheet: Sheet, rng: Generator) -> Array:
    """Hatching that grows denser, and is crossed, where it is darker."""
    n, angle = len(sheet.tone), rng.uniform(0.5, 1.1)
    first = smooth(0.0, 0.5, strokes(n, angle, 55, rng) - 2.2 * sheet.tone + 0.9)
    second = smooth(0.0, 0.5, strokes(n, angle + 1.4, 55, rng) - 2.6 * sheet.tone + 0.4)
    return mix(sheet.paper, sheet.ink, 0.85 * np.maximum(first, second))


def wash(sheet: Sheet, rng: Generator) -> Array:
    """Thin colour that pools unevenly, and some ink in the shade."""
    flow = 0.55 + 0.35 * noise(rng, sheet.tone.shape, (5, 5), 3)
    tinted = mix(sheet.paper, sheet.paper * clamp(sheet.colour * 1.7), flow)
    return mix(tinted, sheet.ink, 0.3 * smooth(0.3, 0.1, sheet.tone))


def crayon(sheet: Sheet, rng: Generator) -> Array:
    """Waxy strokes of strong colour that leave the grain of the paper bare."""
    n = len(sheet.tone)
    grain = noise(rng, (n, n), (n // 3, n // 3), 2)
    pressed = 0.7 * strokes(n, rng.uniform(0, math.pi), 32, rng) + 2 * grain - 0.7 * sheet.tone
    return mix(sheet.paper, clamp(sheet.colour * 1.5), 0.9 * smooth(-0.1, 0.6, pressed))
