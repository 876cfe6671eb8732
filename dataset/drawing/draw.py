"""The sample data set: pictures of fruit that a program draws, so that fruitcnn can be tried without any download."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from dataset.drawing.backgrounds import background
from dataset.drawing.canvas import Canvas, any_light
from dataset.drawing.photograph import photograph
from dataset.drawing.scenes import place
from dataset.drawing.sketch import sketch
from fruitcnn.errors import DatasetError

LABELS = ("grape", "pineapple", "strawberry")

SMALLEST, LARGEST = 32, 1024
SKETCHES = 0.15
QUALITY = 85
# Shapes have smooth edges of their own; what is drawn inside them needs a little more than one sample a pixel.
OVERSAMPLING = 1.5


def draw_picture(label: str, rng: Generator, size: int) -> Image.Image:
    """A picture (RGB, `size` by `size`) of the fruit `label`, one of LABELS; all its chance comes from `rng`.

    About one in seven is a drawing on paper; the others look like photographs.
    """
    # Style, light and background are drawn without regard to the label, so that they can't give it away.
    by_hand, light = rng.random() < SKETCHES, any_light(rng)
    canvas = Canvas(round(OVERSAMPLING * size), light)
    if not by_hand:
        canvas.rgb += background(canvas.size, rng) * (light.colour * light.direction[2] + light.ambient)
    place(canvas, label, rng)
    return (sketch if by_hand else photograph)(canvas, size, rng)


def draw_dataset(out: Path, *, per_class: int, size: int = 160, seed: int = 0) -> list[Path]:
    """Draw `per_class` pictures of every label as `out`/<label>/<label>_000.jpg and so on; returns their paths.

    The same numbers give the same bytes, and picture k of a label is the same whatever `per_class` is. `out` appears
    whole or not at all. Raises DatasetError when `out` is there already and not an empty folder, and when `per_class`
    is below 1 or `size` is not from SMALLEST to LARGEST.
    """
    _check(out, per_class, size)
    # The place itself: "." and links have no sibling under the name they go by.
    target = out.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        work = Path(scratch, target.name)
        names = [name for index in range(len(LABELS)) for name in _draw_label(work, index, per_class, size, seed)]
        work.replace(target)
    return [out / name for name in names]


def _draw_label(work: Path, index: int, per_class: int, size: int, seed: int) -> list[Path]:
    """Draw the pictures of one label into its folder under `work`; returns their paths relative to that."""
    label = LABELS[index]
    (work / label).mkdir(parents=True)
    names = [Path(label, f"{label}_{k:03}.jpg") for k in range(per_class)]
    for k, name in enumerate(names):
        draw_picture(label, np.random.default_rng([seed, index, k]), size).save(work / name, quality=QUALITY)
    return names


def _check(out: Path, per_class: int, size: int) -> None:
    if per_class < 1:
        raise DatasetError("no pictures to draw", value=f"per_class {per_class}", remedy="ask for 1 or more")
    if not SMALLEST <= size <= LARGEST:
        remedy = f"choose from {SMALLEST} to {LARGEST} pixels"
        raise DatasetError("can't draw pictures of that size", value=f"size {size}", remedy=remedy)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DatasetError("is there already", value=out, remedy="name a folder that does not exist, or an empty one")
