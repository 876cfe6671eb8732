"""A trained Keras model as a clean ONNX graph, layer by layer.

The general exporters trace Python and leave its traces in the graph: 115 nodes for a network of six convolutions.
Here each Keras layer becomes the one node that it is, under its own name; rescaling and batch norm disappear into the
convolution beside them; a channels_last model becomes a channels_first graph without a transpose.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from fruitcnn.errors import ExportError
from fruitcnn.model import keras
from fruitcnn.model.forward import conv_pads

# Old enough for every runtime in use, new enough for all that is needed here.
OPSET = 17
IR_VERSION = 8

Floats = NDArray[np.float32]


class _Graph:
    """The nodes so far, and what each Keras tensor is called in ONNX."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Floats] = {}
        self.names: dict[int, str] = {}
        # Factors by which a tensor of the graph is still to be multiplied, by its name.
        self.factors: dict[str, float] = {}

    def inputs(self, layer: keras.Layer) -> list[str]:
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        names = [self.names[id(tensor)] for tensor in tensors]
        pending = [name for name in names if name in self.factors]
        if pending and not isinstance(layer, keras.layers.Conv2D):
            raise ExportError("only a Conv2D may follow a Rescaling", value=layer.name, remedy="reorder the layers")
        return names

    def add(self, kind: str, layer: keras.Layer, inputs: list[str], suffix: str = "", **attributes: Any) -> str:
        name = f"{layer.name}{suffix}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


def to_onnx(model: keras.Model) -> onnx.ModelProto:
    """Convert a channels_last model from pixels [N, S, S, 3] to probabilities [N, C].

    The graph's input is `image`, float32 [batch, 3, S, S], and its output `probabilities`, float32 [batch, C].
    Raises ExportError for a layer that it does not know.
    """
    graph = _Graph()
    # Keras keeps the layers by depth: each comes after those that it takes its input from.
    for layer in model.layers:
        converter = _CONVERTERS.get(type(layer))
        if converter is None:
            kind = type(layer).__name__
            raise ExportError(f"no ONNX conversion for {kind}", value=layer.name, remedy="teach export/graph.py")
        graph.names[id(layer.output)] = converter(graph, layer)
    size, classes = model.input.shape[1], model.output.shape[-1]
    onnx_graph = helper.make_graph(
        graph.nodes,
        model.name,
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, size, size])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in graph.weights.items()],
    )
    opset = [helper.make_opsetid("", OPSET)]
    result = helper.make_model(onnx_graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="fruitcnn")
    onnx.checker.check_model(result, full_check=True)
    return result


def _input(graph: _Graph, layer: keras.layers.InputLayer) -> str:
    return "image"


def _rescaling(graph: _Graph, layer: keras.layers.Rescaling) -> str:
    if np.any(layer.offset):
        # Zero padding happens after the offset: it can't move into the convolution's bias.
        raise ExportError("a Rescaling with an offset can't be folded", value=layer.name, remedy="use a scale only")
    (name,) = graph.inputs(layer)
    graph.factors[name] = float(layer.scale)
    return name


def _conv(graph: _Graph, layer: keras.layers.Conv2D) -> str:
    (name,) = graph.inputs(layer)
    kernel = np.asarray(layer.kernel.numpy()).transpose(3, 2, 0, 1) * np.float32(graph.factors.get(name, 1.0))
    bias = layer.bias.numpy() if layer.use_bias else np.zeros(layer.filters, np.float32)
    weight = f"{layer.name}.weight"
    graph.weights[weight], graph.weights[f"{layer.name}.bias"] = kernel, bias
    return graph.add(
        "Conv",
        layer,
        [name, weight, f"{layer.name}.bias"],
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        pads=conv_pads(layer, layer.input.shape[1:3]),
        dilations=list(layer.dilation_rate),
        group=layer.groups,
    )


def _batch_norm(graph: _Graph, layer: keras.layers.BatchNormalization) -> str:
    (name,) = graph.inputs(layer)
    weight, bias = f"{name}.weight", f"{name}.bias"
    if weight not in graph.weights:
        raise ExportError("batch norm must follow a Conv2D", value=layer.name, remedy="reorder the layers")
    # In float64: these products are done once and used for ever.
    gamma, beta, mean, variance = (array.astype(np.float64) for array in layer.get_weights())
    gain = gamma / np.sqrt(variance + layer.epsilon)
    graph.weights[weight] = (graph.weights[weight] * gain[:, None, None, None]).astype(np.float32)
    graph.weights[bias] = ((graph.weights[bias] - mean) * gain + beta).astype(np.float32)
    return name


def _flatten(graph: _Graph, layer: keras.layers.Flatten) -> str:
    return graph.add("Flatten", layer, graph.inputs(layer), axis=1)


def _dense(graph: _Graph, layer: keras.layers.Dense) -> str:
    kernel = layer.kernel.numpy()
    source = layer.input._keras_history.operation
    if isinstance(source, keras.layers.Flatten):
        # Keras flattened height, width, channels; the graph flattens channels, height, width.
        height, width, channels = source.input.shape[1:]
        kernel = kernel.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
    weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
    graph.weights[weight], graph.weights[bias] = kernel.T, layer.bias.numpy()
    return graph.add("Gemm", layer, [*graph.inputs(layer), weight, bias], transB=1)


def _pool(kind: str) -> Callable[[_Graph, keras.Layer], str]:
    def convert(graph: _Graph, layer: keras.Layer) -> str:
        if layer.padding != "valid":
            raise ExportError("only pooling without padding is known", value=layer.name, remedy="pool with 'valid'")
        shape, strides = list(layer.pool_size), list(layer.strides)
        return graph.add(kind, layer, graph.inputs(layer), kernel_shape=shape, strides=strides)

    return convert


def _global_pool(graph: _Graph, layer: keras.layers.GlobalAveragePooling2D) -> str:
    pooled = graph.add("GlobalAveragePool", layer, graph.inputs(layer))
    return graph.add("Flatten", layer, [pooled], suffix="_flatten", axis=1)


def _same(kind: str, **attributes: Any) -> Callable[[_Graph, keras.Layer], str]:
    return lambda graph, layer: graph.add(kind, layer, graph.inputs(layer), **attributes)


_CONVERTERS: dict[type[keras.Layer], Callable[[_Graph, Any], str]] = {
    keras.layers.InputLayer: _input,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Conv2D: _conv,
    keras.layers.BatchNormalization: _batch_norm,
    keras.layers.ReLU: _same("Relu"),
    keras.layers.MaxPooling2D: _pool("MaxPool"),
    keras.layers.AveragePooling2D: _pool("AveragePool"),
    keras.layers.GlobalAveragePooling2D: _global_pool,
    keras.layers.Add: _same("Add"),
    keras.layers.Flatten: _flatten,
    keras.layers.Dropout: lambda graph, layer: graph.inputs(layer)[0],  # does nothing outside training
    keras.layers.Dense: _dense,
    keras.layers.Softmax: _same("Softmax", axis=-1),
}
