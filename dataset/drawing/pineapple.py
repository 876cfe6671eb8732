"""Pineapples: whole with their crown, halved lengthwise, and in rings."""

import math

import numpy as np
from numpy.random import Generator

from dataset.drawing.canvas import Array, Canvas, Pose, Window, linear, mix
from dataset.drawing.shapes import Blade, Body, lattice, lookup, noise, revolve, shade, smooth, unit

# From the base of the fruit to its crown, as it ripens from green to gold.
RIPENESS = (
    ("#d98a1e", "#b9861f"),
    ("#d79a2b", "#7d8a2c"),
    ("#a8822c", "#5f7430"),
    ("#b5651d", "#8f6a22"),
)
GROOVE = linear("#3a2a10")
SPINE = linear("#c9b27c")
RIND = linear("#7a5a1e")
FLESH = (("#f3c93a", "#fbe68a"), ("#f0b92c", "#f8dc74"), ("#f5dc6c", "#fcf1b4"))
CORE = linear("#f9efb8")
LEAVES = (("#2f5a2c", "#8fae6a"), ("#3c6647", "#a3bf95"), ("#5c6e2a", "#b6b96a"))
BODY_CENTRE, BODY_HALF = 0.38, 0.62


def profile(v: Array) -> Array:
    """The squared half width of the fruit: a barrel, a little narrower at the top; v from -1 to 1."""
    return (1 - np.abs(v) ** 2.6) * (0.74 + 0.05 * v) ** 2


class Whole:
    """A whole fruit standing upright: crown from v = -1, body to v = 1."""

    def __init__(self, rng: Generator) -> None:
        self.base, self.top = (linear(code) for code in RIPENESS[rng.integers(len(RIPENESS))])
        self.crown = Crown(rng)
        self.around, self.along = rng.uniform(1.15, 1.6), rng.uniform(2.3, 3.0)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one: the crown behind and the body over the feet of its leaves."""
        self.crown(canvas, pose, rng)
        window = canvas.window(pose.child(0, BODY_CENTRE, BODY_HALF), -0.85, 0.85, -1.05, 1.05)
        body = revolve(window, profile)
        canvas.paint(window, self._skin(window, body, rng), body.alpha)
        self.crown.collar(canvas, pose, rng)

    def _skin(self, window: Window, body: Body, rng: Generator) -> Array:
        """The eyes: raised diamonds, each with a dry bract that points upwards from its middle."""
        eyes = lattice(rng, body.longitude, window.v, self.around, self.along)
        edge = 0.5 - np.maximum(np.abs(eyes.p), np.abs(eyes.q))
        across, down = eyes.p + eyes.q, eyes.p - eyes.q
        albedo = mix(self.top, self.base, 0.5 + 0.45 * window.v + 0.5 * (eyes.dice - 0.5))
        albedo = albedo * (0.75 + 0.5 * noise(rng, edge.shape, (24, 24), 2))
        albedo = mix(GROOVE, albedo, smooth(0.0, 0.16, edge))
        bract = smooth(0.16, 0.04, np.abs(across) + 0.25 * np.maximum(down, 0)) * smooth(0.30, 0.12, np.abs(down + 0.1))
        albedo = mix(albedo, SPINE, 0.8 * bract)
        albedo = mix(albedo, GROOVE, 0.75 * smooth(0.1, 0.0, np.abs(down - 0.16)) * smooth(0.3, 0.1, np.abs(across)))
        normal = body.normal
        bumpy = unit(normal[0] + 0.9 * across, normal[1] + 0.9 * down, normal[2] + 0.25)
        return shade(albedo, bumpy, window.light, gloss=0.25, sharp=14)


class Crown:
    """The tuft of stiff leaves, its foot at v = -0.2, its tips near v = -1."""

    def __init__(self, rng: Generator) -> None:
        self.edge, self.middle = (linear(code) for code in LEAVES[rng.integers(len(LEAVES))])
        self.count = int(rng.integers(20, 30))
        self.spread = rng.uniform(0.7, 1.1)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint it, tall inner leaves first, short spread ones over them."""
        for rank in np.linspace(0, 1, self.count):
            lean = rng.uniform(-1, 1) * self.spread * (0.2 + 0.9 * float(rank))
            self._leaf(canvas, pose, lean, (0.85 - 0.4 * float(rank)) * rng.uniform(0.85, 1.05), rng)

    def collar(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """The short lowest leaves, which hang over the top of the body."""
        for lean in np.linspace(-1.3, 1.3, 8):
            self._leaf(canvas, pose, float(lean) + rng.normal(0, 0.1), rng.uniform(0.2, 0.3), rng)

    def _leaf(self, canvas: Canvas, pose: Pose, lean: float, length: float, rng: Generator) -> None:
        foot = pose.child(0.12 * lean, -0.17 + 0.03 * abs(lean), length, lean - math.pi / 2)
        tone = rng.uniform(0.7, 1.25)
        bend = lean * rng.uniform(0.15, 0.4)
        width = min(0.055 / length, 0.3)
        Blade(width, bend, self.edge * tone, self.middle * tone, base=0.12, tip=0.75).draw(canvas, foot)


def fibres(rng: Generator, along: Array, outwards: Array) -> Array:
    """The streaks of the flesh (h, w), about 0 to 1, that run outwards; both maps have 1 for their whole range."""
    return lookup(noise(rng, (512, 128), (90, 4), 2), along, outwards)


class Half:
    """A fruit cut lengthwise, its cut face to the viewer, with half a crown."""

    def __init__(self, rng: Generator) -> None:
        self.flesh, self.pale = (linear(code) for code in FLESH[rng.integers(len(FLESH))])
        self.crown = Crown(rng)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one: crown, rind, and the face with its core and fibres."""
        self.crown(canvas, pose, rng)
        window = canvas.window(pose.child(0, BODY_CENTRE, BODY_HALF), -0.9, 0.9, -1.1, 1.1)
        width = np.sqrt(np.maximum(profile(window.v), 1e-4))
        depth = (profile(window.v) - window.u**2) / 1.3
        across = np.minimum(np.abs(window.u) / width, 1.2)
        scallop = 0.02 * np.abs(np.sin(window.v * 13)) * across
        albedo = self._face(window, across, rng)
        rind = RIND * (0.6 + 0.8 * noise(rng, across.shape, (30, 30)))
        albedo = mix(rind, albedo, smooth(0.035, 0.075, depth - scallop))
        flat = unit(np.zeros_like(depth), np.zeros_like(depth), np.ones_like(depth))
        canvas.paint(window, shade(albedo, flat, window.light, gloss=0.1, sharp=20), window.cover(depth + scallop))

    def _face(self, window: Window, across: Array, rng: Generator) -> Array:
        streaks = fibres(rng, window.v * 0.5 + 0.35 * across + 3, across * 0.5)
        albedo = mix(self.flesh, self.pale, 0.2 + 0.6 * smooth(0.3, 0.8, streaks))
        eyes = smooth(0.6, 0.95, np.cos(window.v * 26)) * smooth(0.12, 0.0, np.abs(across - 0.84))
        albedo = mix(albedo, self.flesh * 0.55, 0.8 * eyes)
        within = across + 0.03 * np.sin(window.v * 9)
        core = smooth(0.24, 0.17, within) * smooth(1.0, 0.8, np.abs(window.v))
        albedo = mix(albedo, CORE * (0.9 + 0.2 * streaks), 0.85 * core)
        return mix(albedo, self.flesh * 0.5, 0.5 * smooth(0.05, 0.0, np.abs(within - 0.23)))


class Ring:
    """A slice across the fruit, seen at a slant, with or without its rind and the hole where the core was."""

    def __init__(self, rng: Generator) -> None:
        self.flesh, self.pale = (linear(code) for code in FLESH[rng.integers(len(FLESH))])
        self.peeled = rng.random() < 0.35
        self.cored = rng.random() < 0.35
        self.squash = rng.uniform(0.6, 1.0)
        self.thick = rng.uniform(0.1, 0.22)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint one: its side, then its face; it lies flat, so that only the pattern turns with the pose."""
        turn, pose = pose.angle, Pose(pose.x, pose.y, pose.unit)
        canvas.halo(pose, 0.4)
        window = canvas.window(pose, -1.1, 1.1, -1.1, 1.1)
        side = self.flesh * 0.75 if self.peeled else RIND
        drop = self.thick * (1.15 - self.squash) * 2
        radius, _, rim = self._polar(window.u, window.v - drop, turn)
        between = np.minimum(0.965 - np.abs(window.u), drop / 2 - np.abs(window.v - drop / 2))
        wall = np.maximum(rim - radius, between)
        grain = 0.6 + 0.8 * noise(rng, radius.shape, (4, 30))
        # Through the hole one sees flesh, not rind.
        side = mix(self.flesh * 0.5, side, smooth(0.4, 0.5, np.sqrt(window.u**2 + window.v**2)))
        canvas.paint(window, side * grain * (window.light.ambient + 0.5 * window.light.colour), window.cover(wall))
        self._face(canvas, window, turn, rng)

    def _polar(self, u: Array, v: Array, turn: float) -> tuple[Array, Array, Array]:
        """Radius and angle on the slice, and the radius of its knobbly edge at that angle."""
        y = v / self.squash
        angle = np.arctan2(y, u) - turn
        return np.sqrt(u * u + y * y), angle, 0.95 + 0.03 * np.abs(np.sin(angle * 8)) + 0.01 * np.sin(angle * 3)

    def _face(self, canvas: Canvas, window: Window, turn: float, rng: Generator) -> None:
        radius, angle, rim = self._polar(window.u, window.v, turn)
        streaks = fibres(rng, angle / (2 * math.pi) + 1, radius * 0.5)
        albedo = mix(self.flesh, self.pale, 0.15 + 0.65 * smooth(0.3, 0.8, streaks) - 0.2 * (radius - 0.5))
        pits = smooth(0.55, 0.95, np.cos(angle * 16)) * smooth(0.07, 0.0, np.abs(radius - rim + 0.16))
        albedo = mix(albedo, self.flesh * 0.5, 0.8 * pits)
        albedo = mix(albedo, CORE * (0.88 + 0.2 * streaks), 0.85 * smooth(0.27, 0.22, radius))
        albedo = mix(albedo, self.flesh * 0.5, 0.55 * smooth(0.04, 0.0, np.abs(radius - 0.26)))
        if not self.peeled:
            knobs = RIND * (0.5 + 0.5 * np.abs(np.sin(angle * 8)) + 0.5 * noise(rng, radius.shape, (40, 40)))
            albedo = mix(albedo, knobs, smooth(0.085, 0.06, rim - radius))
        inside = rim - radius
        if self.cored:
            inside = np.minimum(inside, radius - 0.23)
        tilt = math.sqrt(1 - self.squash**2)
        wet = 0.12 * (noise(rng, radius.shape, (16, 16)) - 0.5)
        normal = unit(wet, -tilt + wet, np.full_like(radius, self.squash))
        canvas.paint(window, shade(albedo, normal, window.light, gloss=0.2, sharp=20), window.cover(inside))


class Served:
    """A whole fruit with a few rings cut from another before it."""

    def __init__(self, rng: Generator) -> None:
        self.whole, self.ring = Whole(rng), Ring(rng)

    def __call__(self, canvas: Canvas, pose: Pose, rng: Generator) -> None:
        """Paint the fruit to one side, the rings at its foot."""
        side = 1 if rng.random() < 0.5 else -1
        self.whole(canvas, pose.child(-0.25 * side, -0.08, 0.9), rng)
        for k in range(int(rng.integers(1, 4))):
            self.ring(canvas, pose.child((0.6 - 0.4 * k) * side, 0.5 + 0.17 * k, 0.42, rng.uniform(0, 6)), rng)
