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
from fruitcnn.export.formats import choose_formats, load_function
from fruitcnn.export.performance import Change, Performance
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from fruitcnn.runtime import network_input

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


def alternate(source: OnnxSource, file: Path, pairs: int) -> tuple[float, float]:
    """Medians of the CPU milliseconds of one picture: model.onnx, the smaller file."""
    whole, smaller = session(source.file), session(file)
    image = network_input(source.photographs.calibration[:1])
    times = in_turn(lambda: milliseconds(whole, image), lambda: milliseconds(smaller, image), WARM_UP + pairs)
    first, second = (statistics.median(values[WARM_UP:]) for values in times)
    return first, second


def row(source: OnnxSource, file: Path, speed: str, change: Change) -> str:
    photographs, after = source.photographs, change.after
    where = f"{len(photographs.labels):,} {photographs.name} pictures"
    cells = [source.file.parent.name, file.name, f"{file.stat().st_size / 1e6:.2f} MB", speed, where]
    figures = [f"{after.accuracy:.2%}", f"{after.refused:.2%}", f"{change.familiarity:.3f}"]
    return "| " + " | ".join(cells + figures) + " |"


def show(model: Path, pairs: int) -> None:
    source = OnnxSource(model)
    print(row(source, model, "| 1", Change(source.performance, source.performance)))
    with TemporaryDirectory() as folder:
        for format in choose_formats(["fp16", "int8"]):
            file = Path(folder) / format.file
            try:
                load_function(format.write)(source, file)
                load_function(format.prove)(source, file)
            except ExportError as error:
                print(f"| {model.parent.name} | {file.name} | none: {error.problem} |")
                continue
            whole, smaller = alternate(source, file, pairs)
            speed = f"{smaller:.2f} of {whole:.2f} ms | {smaller / whole:.2f}"
            after = Performance.measure(Identifier.load(file), source.photographs)
            print(row(source, file, speed, Change(source.performance, after)), flush=True)


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
