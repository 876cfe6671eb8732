"""int8.onnx: model.onnx in whole numbers of 8 bits, a quarter of its bytes, with its inputs, outputs and card.

Faster on processors that were made for it; slower, or wrong, on others, so it is judged on the pictures of the run.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from fruitcnn.arrays import Float32Array
from fruitcnn.card import INPUT, METADATA_KEY
from fruitcnn.export.source import OnnxSource
from fruitcnn.image import Pixels
from fruitcnn.onnx_file import check_onnx, read_graph
from fruitcnn.runtime import batches, network_input

_BATCH = 16


def write_int8(source: OnnxSource, file: Path) -> None:
    """Write a model.onnx in whole numbers of 8 bits.

    Activations unsigned, weights signed and a scale for each channel; the weights take 7 bits, because processors
    without VNNI add two products in 16.
    """
    # It is changed by being quantized.
    model = onnx.ModelProto()
    model.CopyFrom(source.graph)
    calibrating = _Reader(source.photographs.calibration)
    with _silent():
        quantize_static(
            model,
            file,
            calibrating,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(_behind_convolutions(model.graph)),
        )
    smaller = read_graph(file)
    smaller.ir_version, smaller.producer_name = source.graph.ir_version, source.graph.producer_name
    onnx.helper.set_model_props(smaller, {METADATA_KEY: check_onnx(source.file).metadata[METADATA_KEY]})
    onnx.checker.check_model(smaller, full_check=True)
    onnx.save(smaller, file)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Pixels) -> None:
        self._batches = batches(pixels, _BATCH)

    def get_next(self) -> dict[str, Float32Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: network_input(batch)}


def _behind_convolutions(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the nodes that turn features into answers: their few numbers cost no time, and their digits count."""
    features = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    wanted = {node.output[0]: node for node in graph.node}
    ahead: set[str] = set()
    waiting = [name for name in features if name in wanted]
    while waiting:
        node = wanted[waiting.pop()]
        if node.name not in ahead:
            ahead.add(node.name)
            waiting += [name for name in node.input if name in wanted]
    return (node.name for node in graph.node if node.name not in ahead and node.op_type != "Conv")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    # It advises, on every call, what has been done to the graph already.
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
