"""A Keras model as a clean ONNX graph: torch's own exporter, on the model in torch's own operations.

Keras' own exporters trace all that its layers do in Python: 115 nodes and more for a network of six convolutions. The
interpreter leaves one operation a layer, channels first; the exporter folds batch norm into the convolution beside it,
and every rearranged kernel into a constant.
"""

import collections
import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from onnx.reference import ReferenceEvaluator

from fruitcnn.card import INPUT
from fruitcnn.errors import ExportError
from fruitcnn.model import TorchForward, keras

# The oldest that the exporter writes without converting; every runtime of the last years reads it.
OPSET = 18
IR_VERSION = 8


def to_onnx(model: keras.Model) -> onnx.ModelProto:
    """The graph of a channels_last model from pixels [N, S, S, 3], in one file, with the model's names of outputs.

    The graph's input is `image`, float32 [batch, 3, S, S]. Raises ExportError where it can't be made.
    """
    size = model.inputs[0].shape[1:3]
    with _silent():
        try:
            program = torch.onnx.export(
                TorchForward(model).eval(),
                # Two pictures: the exporter takes a batch of one for a constant.
                (torch.zeros(2, 3, *size),),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(model.output_names),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        except Exception as error:
            # torch raises what its many passes raise.
            raise ExportError(
                f"can't be written as ONNX ({error})", value=model.name, remedy="use layers that torch can export"
            ) from error
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    _fold(graph.graph)
    _clean(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


def _fold(graph: onnx.GraphProto) -> None:
    """Compute, once and for all, what depends on constants only."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in list(graph.node):
        if node.input and all(name in constants for name in node.input):
            found: Any = ReferenceEvaluator(node).run(None, {name: constants[name] for name in node.input})
            constants.update(zip(node.output, found, strict=True))
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    del graph.initializer[:]
    graph.initializer.extend(onnx.numpy_helper.from_array(constants[name], name) for name in constants if name in used)


def _clean(model: onnx.ModelProto) -> None:
    """Names that stay the same from export to export, and nothing about the machine that made the file."""
    # What opset 18 needs and no more, so that older runtimes load it.
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "fruitcnn", "", ""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        # Stack traces, with the paths of this machine.
        del item.metadata_props[:]
        item.doc_string = ""
    # Shapes between the nodes: every runtime infers them.
    del graph.value_info[:]
    counts: collections.Counter[str] = collections.Counter()
    names: dict[str, str] = {}
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        counts[node.op_type] += 1
        node.name = f"{node.op_type}_{counts[node.op_type]}"
        for position, name in enumerate(node.input):
            if name in constants:
                names.setdefault(name, f"{node.name}.{position}")
            node.input[position] = names.get(name, name)
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    # The exporter's remarks are about its own passes.
    loggers: list[Any] = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
