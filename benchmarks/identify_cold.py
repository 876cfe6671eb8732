"""How much more does `fruitcnn identify photo.jpg` take than the shortest script that does the same, all included?

CPU time and peak memory of whole processes, from their start to their end: the command as users start it, against
numpy, Pillow and onnxruntime in a dozen lines, with the same model and the same picture. CPU time, because other
programs spoil wall time; runs alternate. This script itself imports nothing large: Linux counts the memory of the
process that starts a program towards the program's peak.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from compare import in_turn, show_ratio

DRAW = """
import sys
from numpy.random import default_rng
from dataset.drawing.draw import draw_picture
draw_picture("strawberry", default_rng(1), 1024).save(sys.argv[1], quality=92)
"""
MINIMAL = """
import json, sys
import numpy as np
import onnxruntime
from PIL import Image
photo, model = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
size = session.get_inputs()[0].shape[2]
image = Image.open(photo).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
pixels = np.asarray(image, np.float32).transpose(2, 0, 1)[None]
(probabilities,) = session.run(None, {"image": pixels})[0]
labels = json.loads(session.get_modelmeta().custom_metadata_map["fruitcnn.card"])["labels"]
print(labels[probabilities.argmax()], probabilities.max())
"""


def command(photo: Path, model: Path) -> list[str]:
    script = Path(sys.executable).with_name("fruitcnn")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "fruitcnn"]
    # A drawn picture may well be unlike the photographs.
    return [*start, "identify", str(photo), "--model", str(model), "--refuse-below", "0"]


def measure(arguments: list[str], peaks: list[float]) -> float:
    """Run a program; returns its seconds on the CPU and notes its peak memory in MB."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with status {process.returncode}")
    peaks.append(usage.ru_maxrss * 1024 / 1e6)
    return usage.ru_utime + usage.ru_stime


def check_same_label(ours: list[str], theirs: list[str]) -> None:
    """Also the warm-up of both: files in the page cache, Python's bytecode compiled."""
    table, line = (subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in (ours, theirs))
    label = line.split()[0]
    print(f"fruitcnn: {table.strip()}\nminimal:  {line.strip()}")
    if label not in table.split()[1]:
        raise SystemExit("the labels differ: the times would compare nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("checkpoints/fruits/model.onnx"))
    parser.add_argument("--pairs", type=int, default=21, help="runs of each program (default: 21)")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        subprocess.run([sys.executable, "-c", DRAW, str(photo)], cwd=Path(__file__).parents[1], check=True)
        ours, theirs = command(photo, options.model), [sys.executable, "-c", MINIMAL, str(photo), str(options.model)]
        check_same_label(ours, theirs)
        our_peaks: list[float] = []
        their_peaks: list[float] = []
        times = in_turn(lambda: measure(ours, our_peaks), lambda: measure(theirs, their_peaks), options.pairs)
    show_ratio(("fruitcnn identify", "minimal script"), *times, unit="s", bar="at most 1.15")
    print(
        f"{'peak memory':<24} {max(our_peaks):10.1f} MB (bar: at most 95; the minimal script: {max(their_peaks):.1f})"
    )


if __name__ == "__main__":
    main()
