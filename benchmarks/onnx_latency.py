"""Is our exported graph as lean and as fast as what torch's own exporter makes of the hand-written network?

Latency of one picture on onnxruntime's CPU provider: our `to_onnx` of the Keras fruit_net, against the file that
`torch.onnx.export` writes for its torch twin with the same weights. Both sessions have the same options, and runs
alternate.
"""

import argparse
import collections
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
import torch
from compare import in_turn, show_ratio
from torch_twin import FruitNet, check_same, random_pair

from fruitcnn.config import load_config
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.model import answer_model

WARM_UP = 30


def exported_by_torch(twin: FruitNet, size: int) -> onnx.ModelProto:
    network = torch.nn.Sequential(twin, torch.nn.Softmax(1)).eval()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "twin.onnx"
        torch.onnx.export(
            network,
            # Two pictures: the exporter takes a batch of one for a constant.
            (torch.zeros(2, 3, size, size),),
            file,
            dynamo=True,
            external_data=False,
            input_names=["image"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        return onnx.load(file)


def session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # As in our Identifier; here the idle threads of one session would also take their core from the other.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def milliseconds(of: onnxruntime.InferenceSession, image: np.ndarray) -> float:
    start = time.perf_counter()
    of.run(None, {"image": image})
    return (time.perf_counter() - start) * 1e3


def show_nodes(name: str, graph: onnx.ModelProto) -> None:
    kinds = collections.Counter(node.op_type for node in graph.graph.node).most_common()
    print(f"{name:<24} {len(graph.graph.node):3} nodes: " + ", ".join(f"{count} {kind}" for kind, count in kinds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300, help="runs of each graph (default: 300)")
    options = parser.parse_args()
    config = load_config("fruit_net")
    model, twin = random_pair(config)
    names = ("ours", "torch.onnx.export")
    graphs = to_onnx(answer_model(model, temperature=1.0)), exported_by_torch(twin, config.data.size)
    ours, theirs = map(session, graphs)
    images = np.random.default_rng(0).integers(0, 256, (8, 3, config.data.size, config.data.size)).astype(np.float32)
    check_same("both graphs", *(of.run(None, {"image": images})[0] for of in (ours, theirs)))
    for name, graph in zip(names, graphs, strict=True):
        show_nodes(name, graph)
    times = in_turn(
        lambda: milliseconds(ours, images[:1]), lambda: milliseconds(theirs, images[:1]), WARM_UP + options.pairs
    )
    show_ratio(names, times[0][WARM_UP:], times[1][WARM_UP:], unit="ms", bar="at most 1.05")


if __name__ == "__main__":
    main()
