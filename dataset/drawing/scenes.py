"""Scenes: which subject of a fruit is shown, how many of it lie where, and what lies around them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from numpy.random import Generator

from dataset.drawing import grape, pineapple, strawberry
from dataset.drawing.canvas import Canvas, Pose
from dataset.drawing.props import Bowl, foreground, plate

Item: TypeAlias = Callable[[Canvas, Pose, Generator], None]
# From how far items may lean (radians), their poses, the farthest first.
Layout: TypeAlias = Callable[[float, Generator], list[Pose]]


def shuffled(count: int, rng: Generator) -> list[int]:
    """The numbers below `count` in any order: neighbours should not all overlap the same way."""
    order: list[int] = rng.permutation(count).tolist()
    return order


def single(lean: float, rng: Generator) -> list[Pose]:
    """One, large, sometimes so near or so far to the side that the picture's edge cuts it."""
    near = rng.random() < 0.2
    unit = rng.uniform(0.5, 0.65) if near else rng.uniform(0.32, 0.47)
    return [Pose(rng.normal(0.5, 0.07), rng.normal(0.5, 0.05), unit, rng.normal(0, lean))]


def few(lean: float, rng: Generator) -> list[Pose]:
    """Two or three side by side."""
    count = int(rng.integers(2, 4))
    unit = rng.uniform(0.75, 1.0) * (0.44 if count == 2 else 0.36)
    spots = [(0.5 + (k - (count - 1) / 2) * 0.86 / count, rng.normal(0.5, 0.08)) for k in range(count)]
    spots.sort(key=lambda spot: spot[1])
    return [Pose(x + rng.normal(0, 0.03), y, unit * rng.uniform(0.85, 1.1), rng.normal(0, lean)) for x, y in spots]


def scattered(low: int, high: int) -> Layout:
    """Most of the places of a loose grid of `low` to `high` rows, apart or just touching."""

    def poses(lean: float, rng: Generator) -> list[Pose]:
        side = int(rng.integers(low, high + 1))
        places = sorted(shuffled(side * side, rng)[: int(rng.integers(side + 1, side * side + 1))])
        unit, jitter = rng.uniform(0.38, 0.5) / side, 0.12 / side
        spots = [((place % side + 0.5) / side, (place // side + 0.5) / side) for place in places]
        return [Pose(x + rng.normal(0, jitter), y + rng.normal(0, jitter), unit, rng.normal(0, lean)) for x, y in spots]

    return poses


def heap(low: int, high: int) -> Layout:
    """A pile of `low` to `high` rows that grow shorter upwards, the upper rows behind."""

    def poses(lean: float, rng: Generator) -> list[Pose]:
        rows = int(rng.integers(low, high + 1))
        unit = rng.uniform(0.8, 1.0) * 0.5 / (rows + 1.2)
        middle, floor = rng.normal(0.5, 0.04), rng.uniform(0.75, 0.9)
        spots = [(k - row / 2 - 0.5, rows - row) for row in range(1, rows + 1) for k in shuffled(row + 2, rng)]
        places = [
            (middle + (x * 1.75 + rng.normal(0, 0.2)) * unit, floor - (y * 1.35 + rng.normal(0, 0.12)) * unit)
            for x, y in spots
        ]
        return [Pose(x, y, unit, rng.normal(0, lean)) for x, y in places]

    return poses


def carpet(low: int, high: int) -> Layout:
    """So many, in `low` to `high` rows, that they fill the picture, as in a crate."""

    def poses(lean: float, rng: Generator) -> list[Pose]:
        side = int(rng.integers(low, high + 1))
        step = 1 / side
        spots = [(k + 0.5 * (row % 2), row) for row in range(side + 1) for k in shuffled(side + 1, rng)]
        return [Pose((x + rng.normal(0, 0.1)) * step, y * step, 0.68 * step, rng.normal(0, lean)) for x, y in spots]

    return poses


def bowlful(across: int) -> Layout:
    """Many small ones heaped up, `across` in the front row; in terms of the rim of a bowl."""

    def poses(lean: float, rng: Generator) -> list[Pose]:
        step = 1.5 / across
        unit = rng.uniform(0.8, 1.0) * step
        rows = range(across - 3, across + 1)
        spots = [(k - (row - 1) / 2, 0.05 - 0.85 * (across - row) * unit) for row in rows for k in shuffled(row, rng)]
        return [Pose((x + rng.normal(0, 0.1)) * step, y, unit, rng.normal(0, lean)) for x, y in spots]

    return poses


def draped(lean: float, rng: Generator) -> list[Pose]:
    """Three large ones, the outer two leaning outwards; in terms of the rim of a bowl."""
    spots = ((0.0, -0.3), (-0.42, -0.08), (0.42, -0.08))
    return [Pose(x + rng.normal(0, 0.05), y, 0.66, -0.7 * x + rng.normal(0, lean / 2)) for x, y in spots]


@dataclass(frozen=True)
class Subject:
    """One way to show a fruit: its share among the ways, how far it leans, how it lies on the ground or in a bowl."""

    make: Callable[[Generator], Item]
    share: float
    lean: float
    ground: tuple[Layout, ...]
    bowl: tuple[Layout, ...] = ()


ANY_WAY = 2.0
SUBJECTS: dict[str, tuple[Subject, ...]] = {
    "grape": (
        Subject(grape.Bunch, 0.6, 0.35, (single, single, few, few), (draped,)),
        Subject(grape.Picked, 0.25, 0.3, (single, few)),
        Subject(grape.Loose, 0.15, ANY_WAY, (heap(5, 6), scattered(5, 6)), (bowlful(7),)),
    ),
    "pineapple": (
        Subject(pineapple.Whole, 0.55, 0.3, (single, single, few)),
        Subject(pineapple.Served, 0.15, 0.1, (single,)),
        Subject(pineapple.Half, 0.15, 0.4, (single, few)),
        Subject(pineapple.Ring, 0.15, ANY_WAY, (single, few, scattered(2, 2))),
    ),
    "strawberry": (
        Subject(strawberry.Whole, 0.6, 1.0, (single, single, few, scattered(2, 3))),
        Subject(strawberry.Mixed, 0.3, 0.8, (heap(3, 4), scattered(2, 3), carpet(3, 5)), (bowlful(5),)),
        Subject(strawberry.Half, 0.1, 0.6, (single, few)),
    ),
}


def place(canvas: Canvas, label: str, rng: Generator) -> None:
    """Paint a scene of the fruit `label` over the background that is on the canvas."""
    ways = SUBJECTS[label]
    way = ways[rng.choice(len(ways), p=[option.share for option in ways])]
    if rng.random() < 0.2:
        with canvas.group(lift=0.02) as top:
            plate(top, Pose(rng.normal(0.5, 0.05), rng.normal(0.55, 0.05), rng.uniform(0.42, 0.6)), rng)
    with canvas.group(lift=rng.uniform(0.02, 0.06), strength=rng.uniform(0.4, 0.75)) as top:
        arrange(top, way, rng)
    foreground(canvas, rng)


def arrange(canvas: Canvas, way: Subject, rng: Generator) -> None:
    """Paint the items of one subject, in one of its layouts."""
    item, choice = way.make(rng), rng.integers(len(way.ground) + len(way.bowl))
    if choice < len(way.ground):
        for pose in way.ground[choice](way.lean, rng):
            item(canvas, pose, rng)
        return
    bowl, rim = Bowl(rng), Pose(rng.normal(0.5, 0.03), rng.uniform(0.52, 0.62), rng.uniform(0.38, 0.46))
    bowl.back(canvas, rim)
    for pose in way.bowl[choice - len(way.ground)](way.lean, rng):
        item(canvas, rim.child(pose.x, pose.y, pose.unit, pose.angle), rng)
    bowl.front(canvas, rim)
