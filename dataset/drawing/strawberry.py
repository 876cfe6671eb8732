"""Strawberries: whole, with calyx and seeds, and cut in half."""

import math

import numpy as np
from numpy.random import Generator

from dataset.drawing.canvas import Array, Canvas, Pose, Window, linear, mix
from dataset.drawing.shapes import Blade, Body, lattice, noise, revolve, shade, smooth, unit

REDS = (("#c3121f", "#e2382c"), ("#a80f22", "#cf2435"), ("#cf2a1c", "#ee5a3a"), ("#8f0d1c", "#b91c2c"))
SEEDS = ("#e8c860", "#d9a441", "#f0dc8c", "#b9a646")
SHOULDER = linear("#f2d9b0")
HEART = linear("#fbeee2")
FLESH = linear("#ee6a5c")
SEPAL_EDGE, SEPAL_MIDDLE = linear("#3f7a24"), linear("#86b84c")


class Form:
    """The outline of one berry, from v = -0.85 under the calyx to the tip at v = 1, and its colours."""

    def __init__(self, rng: Generator) -> None:
        self.wide, self.taper = rng.uniform(0.74, 0.86), rng.uniform(0.32, 0.5)
        self.dark, self.light = (linear(code) for code in REDS[rng.integers(len(REDS))])
        self.seed = linear(SEEDS[rng.integers(len(SEEDS))])
        self.unripe = max(0.0, rng.normal(-0.1, 0.4))
        self.sepals = int(rng.integers(6, 10))

    def profile(self, v: Array) -> Array:
        """The squared half width at each v: round shoulders that taper to a blunt tip."""
        y = (v - 0.075) / 0.925
        square: Array = (1 - y * y) * (self.wide - self.taper * y) ** 2
        return square

    def skin(self, rng: Generator, v: Array) -> Array:
        """The red of the skin, (3, h, w), paler at the shoulders of a berry that is not quite ripe."""
        albedo = mix(self.dark, self.light, noise(rng, v.shape, (5, 5), 2))
        return mix(albedo, SHOULDER, self.unripe * smooth(-0.3, -0.95, v))

    def calyx(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint the green star on the shoulders, its far sepals first, and the stub of the stem."""
        top = pose.child(0, -0.8, 1)
        for share in np.linspace(0, 1, self.sepals):
            way = math.pi * (1.12 - 1.24 * float(share)) + rng.normal(0, 0.1)
            length = rng.uniform(0.42, 0.62) * (0.75 + 0.25 * abs(math.cos(way)))
            angle = math.atan2(0.75 * math.sin(way) - 0.12, math.cos(way))
            tone = rng.uniform(0.8, 1.2)
            sepal = Blade(0.2, rng.uniform(-0.35, 0.35), SEPAL_EDGE * tone, SEPAL_MIDDLE * tone, base=0.45, tip=0.8)
            sepal.draw(canvas, top.child(0, 0, length, angle))
        stem = Blade(0.13, rng.uniform(-0.4, 0.4), SEPAL_EDGE, SEPAL_MIDDLE, base=0.05, tip=0.05)
        stem.draw(canvas, top.child(0, 0.05, rng.uniform(0.25, 0.5), -math.pi / 2 + rng.normal(0, 0.3)))


class Whole:
    """A whole berry, its tip towards +v; each one painted has a form of its own."""

    def __init__(self, rng: Generator) -> None:
        self.rows = rng.uniform(2.9, 3.7)
        self.gloss = rng.uniform(0.35, 0.8)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one: the red body with its seeds, then the calyx over its shoulders."""
        form = Form(rng)
        canvas.halo(pose.child(0, 0, 0.85))
        window = canvas.window(pose, -1, 1, -0.95, 1.05)
        body = revolve(window, form.profile)
        canvas.paint(window, self._skin(form, window, body, rng), body.alpha)
        form.calyx(canvas, pose, rng)

    def _skin(self, form: Form, window: Window, body: Body, rng: Generator) -> Array:
        """Every seed lies in a dimple: darker around it, and the skin swells between them."""
        around = 1.75
        cells = lattice(rng, body.longitude, window.v, around, self.rows)
        across, down = (cells.p + cells.q) / (2 * around) * body.width, (cells.p - cells.q) / (2 * self.rows)
        seed = np.sqrt((across / 0.036) ** 2 + (down / 0.058) ** 2)
        albedo = form.skin(rng, window.v)
        albedo = albedo * (1 - 0.5 * smooth(2.3, 1.0, seed))
        albedo = mix(albedo, form.seed * (0.7 + 0.5 * cells.dice), smooth(1.25, 0.8, seed))
        dent = 0.5 * smooth(2.4, 1.1, seed) / (seed + 0.3)
        bulge = unit(body.normal[0] - dent * across / 0.05, body.normal[1] - dent * down / 0.07, body.normal[2] + 0.05)
        return shade(albedo, bulge, window.light, gloss=self.gloss, sharp=28, glow=0.25)


class Half:
    """A berry cut lengthwise, its pale heart to the viewer."""

    def __init__(self, rng: Generator) -> None:
        self.pale = rng.uniform(0.75, 1.0)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one: red rim, flesh streaked towards the rim, a white heart, then the calyx."""
        form = Form(rng)
        canvas.halo(pose.child(0, 0, 0.85))
        window = canvas.window(pose, -1, 1, -0.95, 1.05)
        body = revolve(window, form.profile)
        depth = body.normal[2] * np.sqrt(np.maximum(form.profile(window.v) - window.u**2, 0))
        albedo = self._face(form, window, depth, rng)
        flat = unit(0.15 * body.normal[0], 0.15 * body.normal[1], np.ones_like(depth))
        canvas.paint(window, shade(albedo, flat, window.light, gloss=0.15, sharp=20), body.alpha)
        form.calyx(canvas, pose, rng)

    def _face(self, form: Form, window: Window, depth: Array, rng: Generator) -> Array:
        angle = np.arctan2(window.v - 0.1, window.u)
        streaks = smooth(0.4, 0.9, np.cos(angle * 34 + 3 * noise(rng, depth.shape, (4, 4)))) * smooth(0.75, 0.4, depth)
        albedo = mix(form.dark, form.light, smooth(0.0, 0.12, depth))
        albedo = mix(albedo, FLESH, smooth(0.08, 0.32, depth))
        albedo = mix(albedo, HEART, self.pale * smooth(0.3, 0.8, depth + 0.05 * noise(rng, depth.shape, (6, 6))))
        albedo = mix(albedo, HEART, 0.45 * streaks * smooth(0.12, 0.3, depth))
        hollow = np.sqrt((window.u / 0.09) ** 2 + ((window.v + 0.12) / 0.36) ** 2)
        return mix(albedo, FLESH, 0.8 * smooth(1.0, 0.5, hollow))


class Mixed:
    """Whole berries with a halved one here and there."""

    def __init__(self, rng: Generator) -> None:
        self.whole, self.half = Whole(rng), Half(rng)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one or the other."""
        (self.half if rng.random() < 0.3 else self.whole)(canvas, pose, rng)
