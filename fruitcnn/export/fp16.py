"""fp16.onnx: model.onnx with its large weights in half precision, half of its bytes, computed in float32."""

from pathlib import Path

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

from fruitcnn.export.source import OnnxSource

# Smaller weights stay float32: they are a handful of bytes, biases and constants among them.
_LARGE = 1024


def write_fp16(source: OnnxSource, file: Path) -> None:
    """Write a model.onnx whose large weights are each turned into float32 before they are used."""
    model = onnx.ModelProto()
    model.CopyFrom(source.graph)
    casts = []
    for tensor in model.graph.initializer:
        weights = to_array(tensor)
        if weights.dtype == np.float32 and weights.size >= _LARGE:
            name = tensor.name
            tensor.CopyFrom(from_array(weights.astype(np.float16), f"{name}/half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], name=f"Cast_{name}", to=1))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)
