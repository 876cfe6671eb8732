"""What do int8.onnx and fp16.onnx cost and gain against model.onnx? Bytes, CPU time a picture, accuracy, familiarity.

    python benchmarks/smaller.py checkpoints/fruits-small checkpoints/fruits

A row a file, as `fruitcnn export` writes it, or the reason why there is none. Times are of one picture on one thread;
the runs of both files alternate.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from compare import in_turn

from fruitcnn import checkpoint
from fruitcnn.errors import ExportError
from fruitcnn.export.smaller import (
    Held,
    Photographs,
    Worth,
    familiarity_change,
    read_photographs,
    write_fp16,
    write_int8,
)

WARM_UP = 20
HEADER = """\
| model | file | size | CPU time, of fp32's | ratio | judged on | accuracy | refused | familiarity off by |
|---|---|---|---|---|---|---|---|---|"""


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def milliseconds(of: onnxruntime.InferenceSession, image: np.ndarray) -> float:
    start = time.process_time()
    of.run(None, {"image": image})
    return (time.process_time() - start) * 1e3


def alternate(model_file: Path, file: Path, photographs: Photographs, pairs: int) -> tuple[float, float]:
    """Medians of the CPU milliseconds of one picture: model.onnx, the smaller file."""
    whole, smaller = session(model_file), session(file)
    image = photographs.calibration[:1].transpose(0, 3, 1, 2).astype(np.float32)
    times = in_turn(lambda: milliseconds(whole, image), lambda: milliseconds(smaller, image), WARM_UP + pairs)
    first, second = (statistics.median(values[WARM_UP:]) for values in times)
    return first, second


def row(model: Path, file: Path, speed: str, where: str, before: Worth, worth: Worth) -> str:
    cells = [model.parent.name, file.name, f"{file.stat().st_size / 1e6:.2f} MB", speed, where]
    figures = [f"{worth.accuracy:.2%}", f"{worth.refused:.2%}", f"{familiarity_change(before, worth):.3f}"]
    return "| " + " | ".join(cells + figures) + " |"


def show(model: Path, pairs: int) -> None:
    photographs = read_photographs(model.parent)
    whole_shown = False
    with TemporaryDirectory() as folder:
        for name, write in (("fp16.onnx", write_fp16), ("int8.onnx", write_int8)):
            try:
                held: Held = write(model, Path(folder) / name, photographs)
            except ExportError as error:
                print(f"| {model.parent.name} | {name} | none: {error.problem} |")
                continue
            if not whole_shown:
                print(row(model, model, "| 1", held.where, held.before, held.before))
                whole_shown = True
            whole, smaller = alternate(model, held.file, photographs, pairs)
            speed = f"{smaller:.2f} of {whole:.2f} ms | {smaller / whole:.2f}"
            print(row(model, held.file, speed, held.where, held.before, held.after), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, help="checkpoint directories, their pictures at hand")
    parser.add_argument("--pairs", type=int, default=300, help="runs of each file (default: 300)")
    options = parser.parse_args()
    print(HEADER)
    for folder in options.checkpoints:
        show(folder / checkpoint.ONNX, options.pairs)


if __name__ == "__main__":
    main()
