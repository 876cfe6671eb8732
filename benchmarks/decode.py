"""How much faster is a large JPEG read at a fraction of its size, and does any probability show it?

    python benchmarks/decode.py
    python benchmarks/decode.py --pictures photographs/

`load_pixels` against a full decode and the same resize, on a drawn picture of 12 megapixels: smooth, as an enlarged
photograph is, with a sensor's noise, and without subsampled colours (4:4:4); in processor time. Runs alternate. What no
fraction saves is reading the file's bits. --pictures: compare the answers instead, to every seventh picture of a
folder, enlarged to between 1,000 and 6,500 pixels and saved as JPEG.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from compare import in_turn, show_ratio
from numpy.random import default_rng
from PIL import Image

from dataset.drawing.draw import draw_picture
from fruitcnn import Identifier
from fruitcnn.image import decode, load_pixels, resize
from fruitcnn.listing import find_pictures

SIDES = (4032, 3024)
# Standard deviation of the noise in grey levels, Pillow's number for the colours' subsampling, and the quality.
CASES = {
    "smooth, 4:2:0, quality 75": (0.0, 2, 75),
    "smooth, 4:2:0, quality 92": (0.0, 2, 92),
    "noisy, 4:2:0, quality 92": (4.0, 2, 92),
    "smooth, 4:4:4, quality 92": (0.0, 0, 92),
}
STEP = 7


def encoded(noise: float, subsampling: int, quality: int) -> bytes:
    drawn = draw_picture("strawberry", default_rng(1), 1024).resize(SIDES, Image.Resampling.BICUBIC)
    pixels = np.asarray(drawn) + default_rng(0).normal(0, 1, (SIDES[1], SIDES[0], 1)) * noise
    file = io.BytesIO()
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def decode_least(data: bytes) -> None:
    """An eighth, in grey: all bits are read, and next to nothing is made of them."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", (SIDES[0] // 8, SIDES[1] // 8))
        image.load()


def enlarged(picture: Path, rng: np.random.Generator) -> bytes:
    with Image.open(picture) as image:
        factor = rng.integers(1000, 6501) / max(image.size)
        sides = [round(factor * side) for side in image.size]
        large = image.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=int(rng.integers(75, 96)))
    return file.getvalue()


def compare_answers(identifier: Identifier, folder: Path) -> None:
    size, rng, differences = identifier.card.size, default_rng(0), []
    for picture in find_pictures(folder)[0][::STEP]:
        data = enlarged(picture, rng)
        pixels = np.stack([load_pixels(data, size), resize(decode(data), size)])
        differences.append(np.abs(np.subtract(*identifier.probabilities(pixels))).max())
    print(f"{len(differences)} pictures: probabilities differ by at most {max(differences):.4f} (bar: 0.01)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--model", default="checkpoints/fruits")
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    identifier = Identifier.load(options.model)
    if options.pictures:
        compare_answers(identifier, options.pictures)
        return
    size = identifier.card.size
    for name, case in CASES.items():
        data = encoded(*case)
        scaled, whole = load_pixels(data, size), resize(decode(data), size)
        difference = np.abs(np.subtract(*identifier.probabilities(np.stack([scaled, whole])))).max()
        print(f"{name}, {len(data) / 1e6:.1f} MB: probabilities differ by at most {difference:.1e} (bar: 1e-2)")
        times = in_turn(
            lambda data=data: cpu_seconds(lambda: resize(decode(data), size)),
            lambda data=data: cpu_seconds(lambda: load_pixels(data, size)),
            options.pairs,
        )
        show_ratio(("full decode", "load_pixels"), *times, unit="s", bar="at least 4")
        least = min(cpu_seconds(lambda data=data: decode_least(data)) for _ in range(options.pairs))
        print(f"{'an eighth, in grey':<24} {least:10.3f} s: the least that this decoder can take")


if __name__ == "__main__":
    main()
