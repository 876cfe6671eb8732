"""What lies around the fruit: leaves, bowls and plates. None of it depends on which fruit is drawn."""

import colorsys
import math

import numpy as np
from numpy.random import Generator

from dataset.drawing.canvas import GAMMA, Array, Canvas, Pose, linear, mix
from dataset.drawing.shapes import Blade, noise, shade, smooth, unit

GREENS = (("#2f6b22", "#7fae4a"), ("#3f7d33", "#9cc466"), ("#55702a", "#aab65a"), ("#24522e", "#6c9c62"))


def any_colour(rng: Generator, saturation: float, low: float, high: float) -> Array:
    """A linear colour (3, 1, 1) of any hue, of saturation up to `saturation` and value from `low` to `high`."""
    hsv = rng.random(), rng.uniform(0, saturation), rng.uniform(low, high)
    return np.array([[[channel**GAMMA]] for channel in colorsys.hsv_to_rgb(*hsv)], np.float32)


def greens(rng: Generator) -> tuple[Array, Array]:
    """The colours of the edge and the rib of a leaf."""
    edge, middle = GREENS[rng.integers(len(GREENS))]
    return linear(edge), linear(middle)


def plain_leaf(canvas: Canvas, pose: Pose, rng: Generator) -> None:
    """A pointed oval leaf with side veins, one unit long towards +u."""
    edge, middle = greens(rng)
    leaf = Blade(rng.uniform(0.17, 0.28), rng.uniform(-0.3, 0.3), edge, middle, base=0.6, tip=0.8, veins=0.35)
    leaf.draw(canvas, pose)


def vine_leaf(canvas: Canvas, pose: Pose, rng: Generator) -> None:
    """A leaf of five toothed lobes, of radius 1, its stem towards +v."""
    window = canvas.window(pose, -1.1, 1.1, -1.1, 1.1)
    radius, angle = np.sqrt(window.u**2 + window.v**2), np.arctan2(window.u, -window.v)
    reach, vein = np.zeros_like(radius), np.zeros_like(radius)
    for way, length in ((0.0, 1.0), (1.1, 0.9), (-1.1, 0.9), (2.2, 0.68), (-2.2, 0.68)):
        off = (angle - way + math.pi) % (2 * math.pi) - math.pi
        reach = np.maximum(reach, length * (1 - 0.45 * np.minimum(np.abs(off) / 0.62, 1.3) ** 1.8))
        rib = smooth(0.035, 0.01, np.abs(np.sin(off)) * radius) * (np.abs(off) < 1)
        vein = np.maximum(vein, rib * (radius < length))
    teeth = 0.14 * np.abs((angle * 4.5) % 1 - 0.5)
    edge, middle = greens(rng)
    blotch = noise(rng, radius.shape, (5, 5), 2)
    albedo = mix(mix(edge, middle, 0.6 * blotch), middle * 1.2, 0.8 * vein)
    wave = 0.5 * np.sin(angle * 5) * radius
    normal = unit(wave, 0.6 * (blotch - 0.5), np.ones_like(radius))
    colour = shade(albedo, normal, window.light, gloss=0.12, sharp=10)
    canvas.paint(window, colour, window.cover((reach - teeth - radius) * 0.7))


class Bowl:
    """A bowl seen from a little above: its rim is an ellipse of half width 1 around the pose's centre."""

    def __init__(self, rng: Generator) -> None:
        self.colour = any_colour(rng, 0.75, 0.35, 0.95)
        self.second = any_colour(rng, 0.6, 0.3, 1.0)
        self.open = rng.uniform(0.25, 0.42)
        self.deep = rng.uniform(0.75, 0.95)
        self.weave = rng.random() < 0.3
        self.stripe = rng.uniform(0.25, 0.7)

    def back(self, canvas: Canvas, pose: Pose) -> None:
        """Paint the inside."""
        window = canvas.window(pose, -1.05, 1.05, -self.open - 0.05, self.open + 0.05)
        radius = np.sqrt(window.u**2 + (window.v / self.open) ** 2)
        normal = unit(-0.8 * window.u, np.full_like(radius, 0.3), np.full_like(radius, 0.6))
        tone = self.colour * (0.45 + 0.35 * smooth(0.3, 1.0, radius))
        canvas.paint(window, shade(tone, normal, window.light), window.cover((1 - radius) * self.open))

    def front(self, canvas: Canvas, pose: Pose) -> None:
        """Paint the outer wall and the near lip over whatever is in the bowl."""
        window = canvas.window(pose, -1.1, 1.1, -0.05, self.deep + 0.1)
        u, v = window.u, window.v
        wall = (1 - np.sqrt(u**2 + (v / self.deep) ** 2)) * self.deep
        lip = self.open * np.sqrt(np.maximum(1 - u**2, 0))
        inside = np.minimum(np.minimum(wall, v - lip), self.deep * 0.92 - v)
        normal = unit(u, 0.9 * v / self.deep, np.sqrt(np.maximum(1 - u**2, 0.02)))
        glaze = shade(self._glaze(u, v - lip), normal, window.light, gloss=0.35, sharp=25)
        canvas.paint(window, glaze, window.cover(inside))
        edge = shade(mix(self.colour, self.second, 0.3) * 1.1, normal, window.light, gloss=0.4)
        canvas.paint(window, edge, window.cover(np.minimum(0.035 - np.abs(v - lip), 1 - np.abs(u))))

    def _glaze(self, u: Array, below: Array) -> Array:
        if self.weave:
            twist = np.sin(np.arcsin(np.clip(u, -1, 1)) * 22) * np.sign(np.sin(below * 40))
            return mix(self.colour * 0.5, self.colour, 0.5 + 0.5 * twist)
        return mix(self.colour, self.second, smooth(0.06, 0.04, np.abs(below - 0.5 * self.stripe)))


def plate(canvas: Canvas, pose: Pose, rng: Generator) -> None:
    """A round plate seen at a slant, of half width 1."""
    slant = rng.uniform(0.55, 1.0)
    glaze, ring = any_colour(rng, 0.35, 0.75, 1.0), any_colour(rng, 0.8, 0.3, 0.9)
    window = canvas.window(pose, -1.05, 1.05, -1.05, 1.05)
    radius, facing = np.sqrt(window.u**2 + (window.v / slant) ** 2), np.arctan2(window.v, window.u)
    slope = 0.35 * smooth(0.62, 0.66, radius) * smooth(0.78, 0.70, radius) + 0.08 * smooth(0.66, 0.7, radius)
    normal = unit(-slope * np.cos(facing), -slope * np.sin(facing), np.ones_like(radius))
    band = 0.8 * smooth(0.03, 0.02, np.abs(radius - 0.93)) * (rng.random() < 0.5)
    colour = shade(mix(glaze, ring, band), normal, window.light, gloss=0.3, sharp=20)
    canvas.paint(window, colour, window.cover((1 - radius) * slant))


def foreground(canvas: Canvas, rng: Generator) -> None:
    """Now and then something in front of the fruit: a leaf that reaches in from the edge, or the rim of a bowl."""
    kind = rng.random()
    if kind < 0.22:
        side, height = int(rng.integers(2)), rng.uniform(0.25, 1.0)
        leaf = Pose(1.05 * side - 0.02, height, rng.uniform(0.35, 0.6), math.pi * side + rng.normal(0, 0.5))
        with canvas.group(lift=0.05) as top:
            plain_leaf(top, leaf, rng)
    elif kind < 0.3:
        with canvas.group() as top:
            bowl, pose = Bowl(rng), Pose(rng.uniform(0.2, 0.8), rng.uniform(0.72, 0.88), rng.uniform(0.25, 0.42))
            bowl.back(top, pose)
            bowl.front(top, pose)
