"""Two hundred photographs of 60 to 6,000 pixels through the image graph, in each runtime, against `identify`.

python -m tests.runtimes.photographs makes them in a temporary folder from the photographs beside the repository, or
draws them where there are none, and writes the page's table.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from fruitcnn.checkpoint import SHIPPED
from fruitcnn.export.drawing import draw
from fruitcnn.export.image_graph import TOLERANCE
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import decode
from tests.conftest import PHOTOGRAPHS
from tests.runtimes.check import model_folder
from tests.runtimes.environment import Environment, UnavailableError
from tests.runtimes.matrix import load_matrix
from tests.runtimes.readme import write_table

COUNT = 200
SHORTEST, LONGEST = 60, 6000
HEADER = "| runtime | {what} | labels that differ | largest difference of a probability |\n|---|---|---|---|\n"


def main() -> int:
    """Print the table and write it into docs/runtimes.md; the number of runtimes that are off."""
    lines, wrong = [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [_make(folder, index) for index in range(COUNT)]
        expected = _identified(files)
        model = model_folder(folder / "model")
        for runtime in (row for row in load_matrix() if row.photographs):
            try:
                answers = Environment(runtime).identify(model, files)
            except UnavailableError as reason:
                print(f"{runtime.name}: can't be had here: {reason}", flush=True)
                continue
            found = np.array([list(row.values()) for row in answers])
            labels = int((found.argmax(1) != expected.argmax(1)).sum())
            difference = float(np.abs(found - expected).max())
            wrong += bool(labels) or not difference <= TOLERANCE
            lines.append(f"| {runtime.name} | {len(found)} | {labels} | {difference:.1e} |")
            print(lines[-1], flush=True)
    what = "photographs" if PHOTOGRAPHS.is_dir() else "drawings"
    write_table("photographs", HEADER.format(what=what) + "\n".join(lines) + "\n")
    return wrong


def _make(folder: Path, index: int) -> Path:
    """One picture: its longer side grows from each to the next, its shape is chance. PNG: all decoders agree on it."""
    rng = np.random.default_rng([9, index])
    longer = round(SHORTEST * (LONGEST / SHORTEST) ** (index / (COUNT - 1)))
    sides = [longer, max(1, round(longer * rng.uniform(0.2, 1)))]
    width, height = rng.permutation(sides).tolist()
    file = folder / f"{index:03}.png"
    _source(rng, width, height).resize((width, height), Image.Resampling.BICUBIC).save(file, compress_level=1)
    return file


def _source(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    if not PHOTOGRAPHS.is_dir():
        return draw(rng, width, height).convert("RGB")
    files = sorted((PHOTOGRAPHS / "photos").rglob("*.*"))
    return decode(files[rng.integers(len(files))], at_least=0)


def _identified(files: list[Path]) -> np.ndarray:
    """The probabilities of `identify`, [N, C]."""
    identifier = Identifier.load(SHIPPED)
    return np.array([identifier.identify(file).probabilities for file in files])


if __name__ == "__main__":
    sys.exit(main())
