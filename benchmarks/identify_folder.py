"""How near to the machine's limit is `fruitcnn identify FOLDER`, with all that it does around the pictures?

    python benchmarks/identify_folder.py [PHOTOS] [--model checkpoints/fruits/model.onnx] [--rounds 7]

Whole processes in turn: the command, and the shortest program that does the same with all cores, a thread a core, each
with a picture of its own: Pillow decodes a JPEG as small as will do, onnxruntime answers, a CSV is written. No hostile
picture, no order of EXIF, no colour profile is looked after there. CPU time, because other programs spoil wall time,
which is printed beside it. Without PHOTOS a folder is drawn.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from compare import in_turn, show_ratio
from identify_cold import measure

BY_HAND = """
import csv, json, os, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import onnxruntime
from PIL import Image
folder, model, output = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
size = session.get_inputs()[0].shape[2]
labels = json.loads(session.get_modelmeta().custom_metadata_map["fruitcnn.card"])["labels"]
files = sorted(os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)
def answer(file):
    image = Image.open(file)
    image.draft("RGB", (2 * size, 2 * size))
    image = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
    return session.run(["probabilities", "familiarity"], {"image": np.ascontiguousarray(pixels)})
with open(output, "w", newline="") as rows, ThreadPoolExecutor(os.cpu_count()) as pool:
    writer = csv.writer(rows)
    for file, ((probabilities,), (familiarity,)) in zip(files, pool.map(answer, files)):
        writer.writerow([file, labels[probabilities.argmax()], familiarity, *probabilities])
"""


@contextlib.contextmanager
def folder_of(photos: Path | None) -> Iterator[Path]:
    if photos is not None:
        yield photos
        return
    with TemporaryDirectory() as name:
        words = [sys.executable, "-m", "dataset.drawing", name, "--per-class", "120", "--size", "384", "--seed", "0"]
        subprocess.run(words, cwd=Path(__file__).parents[1], check=True, stdout=subprocess.DEVNULL)
        yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--model", type=Path, default=Path("checkpoints/fruits/model.onnx"))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with folder_of(options.photos) as folder, TemporaryDirectory() as out:
        model, rows = str(options.model), str(Path(out) / "rows.csv")
        ours = [sys.executable, "-m", "fruitcnn", "identify", str(folder), "--model", model, "--format", "csv"]
        ours += ["--output", rows, "--force"]
        theirs = [sys.executable, "-c", BY_HAND, str(folder), model, rows]
        our_peaks: list[float] = []
        their_peaks: list[float] = []
        walls: list[float] = []

        def timed(words: list[str], peaks: list[float]) -> float:
            started = time.perf_counter()
            seconds = measure(words, peaks)
            walls.append(time.perf_counter() - started)
            return seconds

        times = in_turn(lambda: timed(ours, our_peaks), lambda: timed(theirs, their_peaks), options.rounds)
    names = ("fruitcnn identify", "by hand")
    print("CPU time")
    show_ratio(names, *times, unit="s", bar="at most 1.02")
    print("wall time")
    show_ratio(names, walls[::2], walls[1::2], unit="s", bar="at most 1.02")
    print(f"peak memory: {max(our_peaks):.0f} and {max(their_peaks):.0f} MB")


if __name__ == "__main__":
    main()
