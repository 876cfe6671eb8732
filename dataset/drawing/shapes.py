"""Noise, shading and the shapes that every fruit is made of: bodies of revolution, blades and lattices."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from dataset.drawing.canvas import Array, Canvas, Light, Pose, Window, clamp, mix


def noise(rng: Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 1) -> Array:
    """Smooth noise (h, w), about 0 to 1 around 0.5, with `cells` bumps down and across; octaves add finer ones."""
    # Pillow makes no empty images, but a shape that lies off the canvas has an empty window.
    height, width = shape
    size = max(width, 1), max(height, 1)
    total = np.full(shape, 0.5, np.float32)
    for octave in range(octaves):
        grid = Image.fromarray(rng.random((cells[0] * 2**octave, cells[1] * 2**octave), np.float32))
        total += (np.asarray(grid.resize(size, Image.Resampling.BICUBIC))[:height, :width] - 0.5) / 2**octave
    return total


def lookup(table: Array, down: Array, across: Array) -> Array:
    """The values of an (m, n) table at positions whose unit is its side; it repeats itself beyond that."""
    rows, cols = table.shape
    found: Array = table[(down * rows).astype(np.int32) % rows, (across * cols).astype(np.int32) % cols]
    return found


def smooth(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high` and an S between them (`high` below `low` turns it round)."""
    share = clamp((value - low) / (high - low))
    return share * share * (3 - 2 * share)


def dot(normal: Array, direction: tuple[float, float, float]) -> Array:
    """The cosine (h, w) between normals (3, h, w) and a direction, both of unit length."""
    cosine: Array = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2]
    return cosine


def shade(
    albedo: Array, normal: Array, light: Light, *, gloss: float = 0.0, sharp: float = 30, glow: float = 0.0
) -> Array:
    """The light, (3, h, w), that a surface sends to the viewer, from its unit `normal` (3, h, w).

    `gloss` and `sharp` are the strength and narrowness of the highlight; `glow` is light that comes through the body.
    """
    facing = dot(normal, light.direction)
    # Wrapped beyond the terminator: pictures of food are lit by wide lamps and windows, not by a point.
    lit = clamp((facing + 0.3) / 1.3)
    lit = lit * (0.6 + 0.4 * lit) + glow * clamp(0.35 - facing) * (1 - 0.5 * normal[2])
    room = 0.45 + 0.55 * normal[2]
    x, y, z = light.direction
    half = math.sqrt(2 + 2 * z)
    sheen = clamp(dot(normal, (x / half, y / half, (z + 1) / half))) ** (sharp / 8)
    spark = gloss * (sheen**8 + 0.05 * sheen)
    shaded: Array = albedo * (lit * light.colour + room * light.ambient) + spark * light.colour
    return shaded


def unit(x: Array, y: Array, z: Array) -> Array:
    """Unit vectors (3, h, w) along (x, y, z)."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-6
    return np.stack([x / length, y / length, z / length])


@dataclass(frozen=True)
class Body:
    """A round body seen from the side: (h, w) maps of its coverage, longitude and half width, and normals (3, h, w)."""

    alpha: Array
    normal: Array
    longitude: Array
    width: Array


def revolve(window: Window, squared: Callable[[Array], Array]) -> Body:
    """The body swept by turning a profile around the v axis; `squared` gives its half width, squared, at each v.

    The square is smooth where the profile closes, so that the edge and the normals are too; it is below 0 beyond.
    """
    step = 0.01
    square = squared(window.v)
    slope = (squared(window.v + step) - squared(window.v - step)) / (2 * step)
    inside = square - window.u**2
    depth = np.sqrt(np.maximum(inside, 0))
    alpha = window.cover(inside / (np.sqrt(4 * window.u**2 + slope**2) + 1e-4))
    width = np.sqrt(np.maximum(square, 1e-6))
    return Body(alpha, unit(window.u, -slope / 2, depth), np.arctan2(window.u, depth), width)


@dataclass(frozen=True)
class Lattice:
    """A surface cut into diamonds: the place in the diamond, -0.5 to 0.5 along both helices, and its own dice throw."""

    p: Array
    q: Array
    dice: Array


def lattice(rng: Generator, longitude: Array, v: Array, around: float, along: float) -> Lattice:
    """The diamonds, `around` of them to a radian of longitude and `along` to a unit of v, that two helices cut."""
    turn = rng.uniform(0, 1)
    first, second = around * longitude + along * v + turn, around * longitude - along * v
    i, j = np.floor(first), np.floor(second)
    table = rng.random((16, 16), np.float32)
    dice = table[i.astype(np.int32) % 16, j.astype(np.int32) % 16]
    return Lattice(first - i - 0.5, second - j - 0.5, dice)


@dataclass(frozen=True)
class Blade:
    """A leaf, sepal or stem one unit long: its half width, its bend sideways, its colours and its outline.

    The outline is widest where the powers `base` and `tip` of the distances from both ends have their greatest product.
    """

    width: float
    bend: float
    edge: Array
    middle: Array
    base: float = 0.5
    tip: float = 0.8
    veins: float = 0.0

    def draw(self, canvas: Canvas, pose: Pose) -> None:
        """Paint it from the pose's centre towards its +u."""
        margin = self.width + 0.02
        window = canvas.window(pose, -0.02, 1.02, min(self.bend, 0) - margin, max(self.bend, 0) + margin)
        t = np.clip(window.u, 1e-3, 1 - 1e-3)
        peak = self.base / (self.base + self.tip)
        half = self.width * (t / peak) ** self.base * ((1 - t) / (1 - peak)) ** self.tip
        off = window.v - self.bend * t * t
        inside = np.minimum((half - np.abs(off)) / np.sqrt(1 + (2 * self.bend * t) ** 2), 0.5 - np.abs(window.u - 0.5))
        across = np.clip(off / (half + 1e-4), -1, 1)
        canvas.paint(window, self._colour(window, t, across), window.cover(inside))

    def _colour(self, window: Window, t: Array, across: Array) -> Array:
        ribs = 0.5 + 0.5 * np.cos((t - 0.35 * np.abs(across)) * 50)
        rib = np.exp(-((across / 0.12) ** 2)) * 0.8 + self.veins * ribs**6
        albedo = mix(self.edge, self.middle, rib + 0.45 * (1 - np.abs(across)))
        normal = unit(np.zeros_like(t), 0.75 * across, np.sqrt(1 - (0.75 * across) ** 2))
        return shade(albedo * (0.55 + 0.45 * np.sqrt(t)), normal, window.light, gloss=0.08, sharp=12)
