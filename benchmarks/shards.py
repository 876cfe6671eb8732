"""What parts cost: pictures a second of CPU, against a plain identify; and the time to the first part.

    python benchmarks/shards.py [--pictures 2048] [--rounds 3] [--model fruits-small]

Both identify the same pictures of 160 pixels: a plain `identify` to CSV, and Dask's workers to parts. Others use the
machine, so what is compared is CPU time, of the command and all its workers, without what starting takes: the same
commands on a part for each worker are taken off.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from compare import in_turn, show_ratio
from PIL import Image

# The default is 4,096, and would take minutes: so many are enough for what a task costs not to count.
PER_PART = 256


def draw(folder: Path, count: int) -> Path:
    """So many JPEGs of 160 x 160 pixels."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    for number in range(count):
        small = numbers.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((160, 160), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    return folder


def cpu_of(words: list[str]) -> float:
    """Seconds of CPU that a command and its workers take."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "fruitcnn", *words], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prove_equal(plain: list[str], dask: list[str], root: Path) -> None:
    """Both give the same rows."""
    cpu_of(plain)
    cpu_of(dask)
    cpu_of(["merge", str(root / "parts"), "--output", str(root / "merged.csv"), "--force"])
    assert (root / "merged.csv").read_bytes() == (root / "x.csv").read_bytes()


def first_part(words: list[str], folder: Path) -> float:
    """Seconds from the command to its first part."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "fruitcnn", *words], stderr=subprocess.DEVNULL)
    while not list(folder.glob("part-*")) and process.poll() is None:
        time.sleep(0.01)
    seconds = time.monotonic() - started
    process.wait()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="fruits-small")
    arguments = parser.parse_args()
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        # Each worker has a part in both, and so a model to load.
        some = PER_PART * workers
        many, few = draw(root / "many", some + arguments.pictures), draw(root / "few", some)
        parts = root / "parts"

        def plain(pictures: Path) -> list[str]:
            return ["identify", str(pictures), "-m", arguments.model, "-f", "csv", "-o", str(root / "x.csv"), "--force"]

        def dask(pictures: Path) -> list[str]:
            shutil.rmtree(parts, ignore_errors=True)
            words = ["identify", str(pictures), "-m", arguments.model, "-o", f"{parts}/", "--per-part", str(PER_PART)]
            return [*words, "--engine", "dask", "--workers", str(workers)]

        prove_equal(plain(few), dask(few), root)
        by_dask, by_plain = in_turn(
            lambda: cpu_of(dask(many)) - cpu_of(dask(few)),
            lambda: cpu_of(plain(many)) - cpu_of(plain(few)),
            arguments.rounds,
        )
        show_ratio(("dask", "plain identify"), by_dask, by_plain, unit="CPU s", bar="at most 1.05: 0.95 of its speed")
        print(f"{'time to the first part':<24} {first_part(dask(many), parts):10.3f} s ({workers} workers)")


if __name__ == "__main__":
    main()
