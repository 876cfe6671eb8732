"""Grapes: single berries, and bunches of them with stem and leaf."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from dataset.drawing.canvas import Array, Canvas, Pose, linear, mix
from dataset.drawing.props import vine_leaf
from dataset.drawing.shapes import Blade, dot, noise, revolve, shade, smooth


@dataclass(frozen=True)
class Skin:
    """A variety: the two colours its berries lie between, its bloom (0 to 1) and how much light comes through."""

    dark: str
    light: str
    bloom: float
    glow: float


SKINS = (
    Skin("#6f9a1c", "#c3d35a", 0.12, 0.9),
    Skin("#8fa62a", "#dcdc7c", 0.10, 1.0),
    Skin("#7a1226", "#c2405a", 0.28, 0.5),
    Skin("#8a1a2c", "#cc5560", 0.18, 0.6),
    Skin("#2a1440", "#5d3279", 0.50, 0.2),
    Skin("#161a3a", "#3b4a80", 0.65, 0.1),
    Skin("#3c0f2c", "#7c2450", 0.35, 0.3),
)
BLOOM = linear("#b4bedc")
SCAR = linear("#4a3520")
STALK_EDGE, STALK_MIDDLE = linear("#5d5a22"), linear("#a2a052")


class Berry:
    """A grape of one variety, `long` times as high as wide."""

    def __init__(self, rng: Generator) -> None:
        self.skin = SKINS[rng.integers(len(SKINS))]
        self.dark, self.light = linear(self.skin.dark), linear(self.skin.light)
        self.long = rng.uniform(1.0, 1.35)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one, of radius 1 along its axis."""
        canvas.halo(pose)
        window = canvas.window(pose, -1.05, 1.05, -1.05, 1.05)
        body = revolve(window, lambda v: (1 - v * v) / self.long**2)
        patches = noise(rng, body.alpha.shape, (5, 5))
        albedo = mix(self.dark, self.light, 0.5 * rng.uniform(0, 1) + 0.5 * patches)
        albedo = mix(albedo, BLOOM, self.skin.bloom * (0.25 + 0.75 * patches) * rng.uniform(0.5, 1.2))
        albedo = mix(albedo, SCAR, self._scar(body.normal, rng))
        gloss = rng.uniform(0.5, 0.9)
        colour = shade(albedo, body.normal, window.light, gloss=gloss, sharp=60, glow=self.skin.glow)
        canvas.paint(window, colour, body.alpha)

    def _scar(self, normal: Array, rng: Generator) -> Array:
        """The small dry point where the flower was, on the half of the berries that turn it to the viewer."""
        turn, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 2.0)
        point = (math.cos(turn) * math.sin(tilt), math.sin(turn) * math.sin(tilt), math.cos(tilt))
        return 0.85 * smooth(0.985, 0.995, dot(normal, point))


class Loose(Berry):
    """Grapes off the bunch; about half have kept their stalk."""

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one, its stalk first."""
        if rng.random() < 0.5:
            stalk = Blade(0.16, rng.uniform(-0.3, 0.3), STALK_EDGE, STALK_MIDDLE, base=0.05, tip=0.02)
            stalk.draw(canvas, pose.child(0, -0.85, rng.uniform(0.5, 0.8), -math.pi / 2 + rng.normal(0, 0.3)))
        super().__call__(canvas, pose, rng)


class Bunch:
    """A bunch, hanging from its stem at v = -1 down to its tip at v = 1."""

    def __init__(self, rng: Generator) -> None:
        self.berry = Berry(rng)
        self.plump = rng.uniform(0.15, 0.21)
        self.wide = rng.uniform(0.5, 0.75)
        self.leafy = rng.random() < 0.6

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one, stem first, then the leaf, then the berries from the back to the front."""
        self._stem(canvas, pose, rng)
        if self.leafy:
            side = 1 if rng.random() < 0.5 else -1
            leaf = pose.child(0.36 * side, -0.74, rng.uniform(0.45, 0.65), side * rng.uniform(0.3, 1.3))
            vine_leaf(canvas, leaf, rng)
        for x, y, _ in self._places(rng).tolist():
            berry = pose.child(x, y, self.plump * rng.uniform(0.9, 1.08), rng.normal(-0.5 * x, 0.35))
            self.berry(canvas, berry, rng)

    def _stem(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        stalk = Blade(0.045, rng.uniform(-0.3, 0.3), STALK_EDGE, STALK_MIDDLE, base=0.05, tip=0.05)
        stalk.draw(canvas, pose.child(0, -0.55, 0.55, -math.pi / 2 + rng.normal(0, 0.15)))
        top = pose.child(rng.normal(0, 0.05), -1.02, 0.5, rng.normal(0, 0.3))
        stalk.draw(canvas, top.child(-0.5, 0, 1))

    def _places(self, rng: Generator) -> Array:
        """Centres (n, 3) of berries that do not overlap much, over the front of a cone, the farthest first."""
        tries = 900
        t, across = rng.random(tries) ** 0.8, rng.uniform(-1, 1, tries)
        radius = self.wide * (1 - t) ** 0.55 * np.minimum(1, 0.55 + 2.5 * t)
        depth = np.sqrt(1 - across**2) * rng.choice((-0.2, 1, 1), tries)
        spots = np.stack([radius * across, 1.6 * t - 0.72, radius * depth], axis=-1)
        kept = []
        while len(spots):
            kept.append(spots[0])
            spots = spots[np.sum((spots - spots[0]) ** 2, axis=1) > (1.3 * self.plump) ** 2]
        return np.array(sorted(kept, key=lambda spot: float(spot[2])), np.float32)


class Picked:
    """A bunch with some of its berries fallen off beside it."""

    def __init__(self, rng: Generator) -> None:
        self.bunch = Bunch(rng)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint the bunch, then the berries in front of it."""
        self.bunch(canvas, pose, rng)
        for _ in range(int(rng.integers(2, 7))):
            fallen = pose.child(rng.uniform(-0.9, 0.9), rng.uniform(0.7, 1.05), self.bunch.plump, rng.uniform(-3, 3))
            self.bunch.berry(canvas, fallen, rng)
