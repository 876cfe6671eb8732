"""Does the time of a scan and of `fruitcnn dataset check` grow with the number of pictures, and no faster?

    python benchmarks/check_growth.py [--most 200000] [--side 64]

Draws sets of random pictures of ten classes, each four times as large as the one before, and prints CPU seconds, of all
threads: of the first check, of a second one, with all that was computed before in the cache, and of a scan then.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fruitcnn.checks.check import check
from fruitcnn.dataset.scan import scan

_CLASSES, _SMALLEST, _FACTOR = 10, 500, 4


def draw(folder: Path, count: int, side: int) -> None:
    rng = np.random.default_rng(0)
    # As fine as what a perceptual hash looks at: coarser ones would come to look alike, the more of them the more.
    colours = rng.integers(0, 256, (_CLASSES, 8, 8, 3))
    for number in range(count):
        label = number % _CLASSES
        small = np.clip(colours[label] + rng.normal(0, 60, (8, 8, 3)), 0, 255).astype(np.uint8)
        place = folder / f"class_{label}" / f"{number // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        picture.save(place / f"{number}.jpg", quality=90)


def seconds(work: Callable[..., object], data: Path, **options: object) -> float:
    started = time.process_time()
    work(data, **options)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=64)
    options = parser.parse_args()
    print(f"{'pictures':>9}{'first check':>14}{'again':>14}{'scan':>14}   CPU seconds (milliseconds a picture)")
    count = _SMALLEST
    while count <= options.most:
        with tempfile.TemporaryDirectory() as name:
            data = Path(name) / "set"
            os.environ["FRUITCNN_CACHE"] = str(Path(name) / "cache")
            draw(data, count, options.side)
            times = [seconds(check, data) for _ in range(2)]
            times.append(seconds(scan, data, sizes=[64]))
        cells = "".join(f"{spent:>6.1f} ({1000 * spent / count:5.2f})" for spent in times)
        print(f"{count:>9,}{cells}", flush=True)
        count = options.most if count < options.most < count * _FACTOR else count * _FACTOR


if __name__ == "__main__":
    main()
