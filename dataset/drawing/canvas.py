"""A canvas of linear light, and the small local windows through which shapes are painted on it.

Positions on the canvas run from 0 to 1, x to the right and y down. Colours are linear light, float32, about 0 to 1,
their three channels first: (3, 1, 1) for one colour and (3, h, w) for a map, so that both multiply with an (h, w) map.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFilter

Array: TypeAlias = NDArray[np.floating[Any]]
Layers: TypeAlias = NDArray[np.int32]

GAMMA = 2.2
LAMPS = ("#ffffff", "#fff2dc", "#ffdca8", "#ffc98a", "#e4efff", "#d0e2ff", "#f6f2e6")


def linear(code: str) -> Array:
    """The linear colour, (3, 1, 1), of an sRGB code such as `#c81e2d`."""
    return np.array([[[(channel / 255) ** GAMMA]] for channel in ImageColor.getrgb(code)], np.float32)


def clamp(values: Array) -> Array:
    """The values, kept within 0 to 1."""
    kept: Array = np.clip(values, 0, 1)
    return kept


def mix(low: Array, high: Array, amount: Array | float) -> Array:
    """`low` where `amount` is 0 or less, `high` where it is 1 or more: two colours or maps, by a number or a map."""
    return low + (high - low) * clamp(np.asarray(amount, np.float32))


def blur(plane: Array, radius: float) -> Array:
    """An (h, w) plane of values in 0..1, blurred by a Gaussian of `radius` pixels (to 8 bits)."""
    image = Image.fromarray((clamp(plane) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) / np.float32(255)


def as_image(rgb: Array) -> Image.Image:
    """An RGB image of display values (3, n, n); what is outside 0 to 1 is clipped."""
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(clamp(rgb) * 255 + 0.5, 0, -1), np.uint8))


@dataclass(frozen=True)
class Light:
    """A lamp and the light of the room; `direction` is the unit vector (x, y, z) to the lamp, z towards the viewer."""

    direction: tuple[float, float, float]
    colour: Array
    ambient: Array

    def turned(self, angle: float) -> Self:
        """The same light as seen from a shape that is itself turned by `angle` radians."""
        x, y, z = self.direction
        cos, sin = math.cos(angle), math.sin(angle)
        return replace(self, direction=(cos * x + sin * y, cos * y - sin * x, z))


def any_light(rng: Generator) -> Light:
    """A lamp above the picture on either side, of any colour of daylight or lamplight, dim or bright, hard or soft."""
    turn, height = rng.uniform(-2.8, -0.35), rng.uniform(0.5, 1.1)
    direction = (math.cos(turn) * math.cos(height), math.sin(turn) * math.cos(height), math.sin(height))
    colour = linear(LAMPS[rng.integers(len(LAMPS))])
    strength, fill = rng.uniform(0.55, 1.25), rng.uniform(0.2, 0.5)
    return Light(direction, colour * strength, (0.5 * colour + 0.5) * strength * fill)


@dataclass(frozen=True)
class Pose:
    """Where a shape stands: its centre, the length of its unit, and its turn in radians (clockwise on the picture)."""

    x: float
    y: float
    unit: float
    angle: float = 0.0

    def child(self, u: float, v: float, unit: float, angle: float = 0.0) -> "Pose":
        """The pose of a part whose centre, unit and turn are given in this pose's own terms."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = self.x + self.unit * (cos * u - sin * v), self.y + self.unit * (sin * u + cos * v)
        return Pose(x, y, self.unit * unit, self.angle + angle)


@dataclass(frozen=True)
class Window:
    """The part of a canvas around a shape: (h, w) maps `u` and `v` in the shape's own terms, and the light there."""

    where: tuple[slice, slice]
    u: Array
    v: Array
    pixel: float
    light: Light

    def cover(self, inside: Array) -> Array:
        """How much of each pixel a shape covers, from the distance inside its edge (negative outside)."""
        return clamp(inside / self.pixel + 0.5)


class Canvas:
    """A square picture in the making: premultiplied `rgb` (3, n, n), `alpha` (n, n), and `layer` (n, n, int32).

    `layer` numbers the shape on top at each pixel, 0 where there is none: the sketches take their outlines from it.
    """

    def __init__(self, size: int, light: Light) -> None:
        self.size = size
        self.light = light
        self.rgb: Array = np.zeros((3, size, size), np.float32)
        self.alpha: Array = np.zeros((size, size), np.float32)
        self.layer: Layers = np.zeros((size, size), np.int32)
        self._painted = 0

    def window(self, pose: Pose, left: float, right: float, top: float, bottom: float) -> Window:
        """The pixels around the box u in left..right, v in top..bottom; empty where that is off the canvas."""
        corners = [pose.child(u, v, 1) for u in (left, right) for v in (top, bottom)]
        rows, cols = self._span([corner.y for corner in corners]), self._span([corner.x for corner in corners])
        dx = (np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5)[None] / self.size - pose.x
        dy = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5)[:, None] / self.size - pose.y
        cos, sin = math.cos(pose.angle) / pose.unit, math.sin(pose.angle) / pose.unit
        pixel = 1 / (self.size * pose.unit)
        return Window((rows, cols), cos * dx + sin * dy, cos * dy - sin * dx, pixel, self.light.turned(pose.angle))

    def _span(self, values: list[float]) -> slice:
        low, high = math.floor(min(values) * self.size) - 1, math.ceil(max(values) * self.size) + 1
        start = min(max(low, 0), self.size)
        return slice(start, max(start, min(high, self.size)))

    def paint(self, window: Window, colour: Array, alpha: Array) -> None:
        """Lay a colour or a map of colours over the window by `alpha` (h, w), as a shape with an outline of its own."""
        under = self.rgb[:, *window.where]
        under += (colour - under) * alpha
        self.alpha[window.where] += alpha * (1 - self.alpha[window.where])
        self._painted += 1
        self.layer[window.where][alpha > 0.5] = self._painted

    def halo(self, pose: Pose, strength: float = 0.6) -> None:
        """Darken what is painted already around a round thing of radius 1 that is about to be laid on it."""
        x, y, _ = self.light.direction
        away = Pose(pose.x - 0.12 * x * pose.unit, pose.y - 0.12 * y * pose.unit, pose.unit)
        window = self.window(away, -1.5, 1.5, -1.5, 1.5)
        distance = np.sqrt(window.u**2 + window.v**2)
        self.rgb[:, *window.where] *= 1 - strength * clamp((1.5 - distance) / 0.5) ** 2

    @contextmanager
    def group(self, lift: float = 0.04, strength: float = 0.6) -> Iterator["Canvas"]:
        """A clear canvas for things that are laid on this one afterwards, `lift` above it, with a soft shadow."""
        top = Canvas(self.size, self.light)
        top._painted = self._painted
        yield top
        x, y, _ = self.light.direction
        far = blur(shifted(top.alpha, -x * lift, -y * lift + lift / 3), lift * 0.6 * self.size)
        near = blur(shifted(top.alpha, 0, lift / 6), lift * 0.15 * self.size)
        self.rgb *= 1 - strength * np.maximum(far, 0.7 * near)
        self.rgb = top.rgb + self.rgb * (1 - top.alpha)
        self.alpha = top.alpha + self.alpha * (1 - top.alpha)
        self.layer = np.where(top.layer > 0, top.layer, self.layer)
        self._painted = top._painted


def shifted(plane: Array, x: float, y: float) -> Array:
    """An (n, n) plane moved by the shares x and y of its side; what comes in from outside is 0."""
    size = len(plane)
    across, down = round(x * size), round(y * size)
    moved = np.zeros_like(plane)
    target = (slice(max(down, 0), size + min(down, 0)), slice(max(across, 0), size + min(across, 0)))
    source = (slice(max(-down, 0), size - max(down, 0)), slice(max(-across, 0), size - max(across, 0)))
    moved[target] = plane[source]
    return moved
