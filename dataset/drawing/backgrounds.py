"""What the fruit lies on or stands before: boards, cloths, stone, gardens and studio walls, as plain albedo."""

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from dataset.drawing.canvas import Array, blur, linear, mix
from dataset.drawing.props import any_colour
from dataset.drawing.shapes import lookup, noise, smooth

WOODS = (
    ("#6b4426", "#a87848"),
    ("#8a6a48", "#c9a77c"),
    ("#3b261a", "#6a4730"),
    ("#9a938a", "#cfc8bd"),
    ("#a5612c", "#d99a5b"),
)
FOLIAGE = ("#2d4f1e", "#5f8a2f", "#93b34a", "#c6d68a", "#d9cf7a", "#3a5f4a", "#7a6a3a", "#e8ecd8")


def turned(size: int, angle: float) -> tuple[Array, Array]:
    """Coordinates (size, size) around the middle, whose unit is the picture's side, turned by `angle` radians."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * axis[None] + sin * axis[:, None], cos * axis[:, None] - sin * axis[None]


def boards(size: int, rng: Generator) -> Array:
    """Planks with grain: a table top, or with wide gaps the slats of a crate."""
    x, y = turned(size, int(rng.integers(2)) * math.pi / 2 + rng.normal(0, 0.2))
    dark, light = (linear(code) for code in WOODS[rng.integers(len(WOODS))])
    place = y * rng.uniform(2, 6) + rng.random()
    plank = np.floor(place)
    gap = float(rng.choice((0.012, 0.02, 0.1)))
    tone = rng.random(16).astype(np.float32)[plank.astype(np.int32) % 16]
    grain = lookup(noise(rng, (384, 192), (50, 5), 3), y * 0.5 + 0.37 * plank, x * 0.5 + 0.29 * plank)
    rings = 0.5 + 0.5 * np.sin(grain * 24)
    albedo = mix(dark, light, 0.55 * grain + 0.2 * rings + 0.5 * (tone - 0.35))
    return albedo * smooth(0.0, gap, 0.5 - np.abs(place - plank - 0.5) - gap * 0.4)


def cloth(size: int, rng: Generator) -> Array:
    """Woven cloth with folds: checked, striped, dotted or plain."""
    x, y = turned(size, rng.uniform(0, math.pi))
    bend = 0.05 * (noise(rng, (size, size), (3, 3)) - 0.5)
    x, y = x + bend, y - bend
    ground, other = any_colour(rng, 0.25, 0.75, 1.0), any_colour(rng, 0.9, 0.25, 0.95)
    wave = 2 * math.pi * rng.uniform(3, 8)
    across, down = smooth(-0.1, 0.1, np.sin(x * wave)), smooth(-0.1, 0.1, np.sin(y * wave))
    dots = smooth(0.55, 0.65, np.sin(x * wave) * np.sin(y * wave))
    pattern = ((across + down) / 2, across, dots, np.full_like(x, rng.integers(2)))[rng.integers(4)]
    weave = 0.94 + 0.06 * np.sin(x * 700) * np.sin(y * 700)
    folds = 0.7 + 0.6 * noise(rng, (size, size), (4, 4))
    return mix(ground, other, 0.85 * pattern) * (weave * folds)


def stone(size: int, rng: Generator) -> Array:
    """Speckled stone or veined marble."""
    base = any_colour(rng, 0.2, 0.25, 0.95)
    cloud = noise(rng, (size, size), (4, 4), 4)
    veins = smooth(0.05, 0.0, np.abs(cloud - 0.5)) * rng.uniform(0, 0.5)
    speckle = noise(rng, (size, size), (size // 4, size // 4)) - 0.5
    return mix(base * 0.85, base * 1.1, cloud + 0.6 * speckle) * (1 - veins)


def garden(size: int, rng: Generator) -> Array:
    """Foliage far out of focus, with discs of light."""
    palette = [linear(code) for code in FOLIAGE]
    x, y = turned(size, 0.0)
    albedo = mix(palette[rng.integers(3)], palette[rng.integers(len(palette))], noise(rng, (size, size), (3, 3), 2))
    for _ in range(14):
        distance = np.hypot(x - rng.uniform(-0.55, 0.55), y - rng.uniform(-0.55, 0.55))
        radius = rng.uniform(0.04, 0.2)
        disc = smooth(radius, radius * 0.8, distance) * rng.uniform(0.15, 0.6)
        albedo = mix(albedo, palette[rng.integers(len(palette))], disc)
    return albedo


def studio(size: int, rng: Generator) -> Array:
    """A wall above a table, each of one colour, with a soft or hard edge between them."""
    wall, table = any_colour(rng, 0.6, 0.3, 1.0), any_colour(rng, 0.6, 0.3, 1.0)
    _, y = turned(size, rng.normal(0, 0.03))
    edge, width = rng.uniform(-0.3, 0.2), float(rng.choice((0.01, 0.1, 0.4)))
    return mix(wall, table, smooth(edge - width, edge + width, y)) * (0.9 + 0.2 * noise(rng, (size, size), (3, 3)))


def sweep(size: int, rng: Generator) -> Array:
    """One colour that runs into another."""
    _, y = turned(size, rng.uniform(0, 2 * math.pi))
    return mix(any_colour(rng, 0.6, 0.2, 1.0), any_colour(rng, 0.6, 0.4, 1.0), smooth(-0.6, 0.6, y))


BACKGROUNDS: tuple[Callable[[int, Generator], Array], ...] = (boards, boards, cloth, stone, garden, studio, sweep)


def background(size: int, rng: Generator) -> Array:
    """The albedo (3, size, size) behind the fruit, out of focus by a random amount."""
    albedo = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](size, rng)
    radius = max(0.0, rng.normal(0.003, 0.005)) * size
    return np.stack([blur(channel, radius) for channel in np.sqrt(albedo)]) ** 2
