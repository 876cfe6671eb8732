"""The frozen network up to its feature maps, cut out of a finished model.onnx.

A model that ends in global average pooling and a Dense layer answers through its `evidence`, a convolution of 1 x 1 on
the last feature maps: what that convolution reads is what the network makes of a picture, whatever its classes are.
The shipped model's network is EfficientNet-Lite0 with ImageNet's weights, which its training has left as they were.
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fruitcnn.card import EVIDENCE, INPUT
from fruitcnn.checkpoint import ONNX, SHIPPED
from fruitcnn.errors import ModelError
from fruitcnn.features.shipped import MULTIPLE
from fruitcnn.onnx_file import read_graph

# In the graph that is cut out: the feature maps [batch, D, h, w], their means over places [batch, D], and which axes
# the places are.
MAPS, FEATURES, PLACES = "maps", "features", "places"


def shipped_backbone(size: int) -> onnx.ModelProto:
    """`cut_backbone` of the model that comes with fruitcnn."""
    assert SHIPPED is not None
    return cut_backbone(SHIPPED / ONNX, size)


def backbone_id(backbone: onnx.ModelProto) -> str:
    """By which a backbone is known again, as 64 digits: the same features come from the same graph."""
    return hashlib.sha256(backbone.SerializeToString(deterministic=True)).hexdigest()


def cut_backbone(file: Path, size: int) -> onnx.ModelProto:
    """The part of a model.onnx from `image`, float32 [batch, 3, size, size], to `features`, [batch, D].

    size: S in pixels, whatever the model's own. Raises ModelError where the model has no evidence, or for a size that
    the graph can't take.
    """
    model = read_graph(file)
    nodes = {name: node for node in model.graph.node for name in node.output}
    if EVIDENCE not in nodes:
        raise ModelError("says nothing about places", value=file, remedy="use a model that ends in average pooling")
    if size % MULTIPLE:
        raise ModelError(
            f"its network takes multiples of {MULTIPLE} px, not {size}",
            value=file,
            remedy=f"set data.size={round(size / MULTIPLE) * MULTIPLE or MULTIPLE}",
        )
    maps = nodes[EVIDENCE].input[0]
    kept = _leading_to(maps, nodes)
    graph = helper.make_graph(
        [node for node in model.graph.node if node.output[0] in kept],
        "backbone",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, ["batch", _channels(nodes[EVIDENCE], model)])],
        [tensor for tensor in model.graph.initializer if tensor.name in kept],
    )
    _rename(graph, {maps: MAPS})
    graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), PLACES))
    graph.node.append(helper.make_node("ReduceMean", [MAPS, PLACES], [FEATURES], name="ReduceMean_1", keepdims=0))
    cut = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    cut.producer_name = model.producer_name
    return cut


def named_backbone(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A graph from pixels to features, named as `cut_backbone` does; None unless they are means over places."""
    named = onnx.ModelProto()
    named.CopyFrom(model)
    graph, last = named.graph, named.graph.node[-1]
    axes = [numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer if tensor.name in last.input[1:]]
    if last.op_type != "ReduceMean" or axes != [[2, 3]] or last.input[0] == INPUT:
        return None
    _rename(graph, {last.input[0]: MAPS, last.input[1]: PLACES, last.output[0]: FEATURES})
    return named


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Give tensors other names, wherever they are."""
    for node in graph.node:
        for used in (node.input, node.output):
            used[:] = [names.get(name, name) for name in used]
    for item in (*graph.initializer, *graph.output):
        item.name = names.get(item.name, item.name)


def _channels(evidence: onnx.NodeProto, model: onnx.ModelProto) -> int:
    """How many feature maps there are: the inputs of the convolution that makes the evidence of them."""
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == evidence.input[1])
    return int(kernel.dims[1])


def _leading_to(target: str, nodes: dict[str, onnx.NodeProto]) -> set[str]:
    """The names of all tensors that a tensor is computed from, itself too."""
    found, waiting = set[str](), [target]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += nodes[name].input if name in nodes else []
    return found
