"""What do familiarity and evidence cost? A model's whole graph against the part of it that gives probabilities.

Latency of one picture on onnxruntime's CPU provider, one thread. The part is cut out of the file (onnx.utils), since
onnxruntime computes all outputs whichever are asked for. Runs alternate.
"""

import argparse
import time

import numpy as np
import onnx
import onnxruntime
from compare import in_turn, show_ratio
from onnx.utils import Extractor

from fruitcnn.models import find_model

WARM_UP = 10


def session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def milliseconds(of: onnxruntime.InferenceSession, image: np.ndarray) -> float:
    start = time.perf_counter()
    of.run(None, {"image": image})
    return (time.perf_counter() - start) * 1e3


def compare(model: str, pairs: int) -> None:
    whole = onnx.load(find_model(model))
    part = Extractor(whole).extract_model(["image"], ["probabilities"])
    names = tuple(f"{len(graph.graph.output)} outputs, {len(graph.graph.node)} nodes" for graph in (whole, part))
    first, second = map(session, (whole, part))
    size = whole.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    image = np.random.default_rng(0).integers(0, 256, (1, 3, size, size)).astype(np.float32)
    both = [one.run(["probabilities"], {"image": image})[0] for one in (first, second)]
    difference = float(np.abs(both[0] - both[1]).max())
    assert difference < 1e-6, difference
    print(f"{model}: probabilities differ by at most {difference:.0e}")
    times = in_turn(lambda: milliseconds(first, image), lambda: milliseconds(second, image), WARM_UP + pairs)
    show_ratio((names[0], names[1]), times[0][WARM_UP:], times[1][WARM_UP:], unit="ms", bar="at most 1.10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["checkpoints/fruits", "checkpoints/fruits-small"])
    parser.add_argument("--pairs", type=int, default=100, help="runs of each graph (default: 100)")
    options = parser.parse_args()
    for model in options.models:
        compare(model, options.pairs)


if __name__ == "__main__":
    main()
