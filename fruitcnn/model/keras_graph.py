"""A Keras model's graph: every private name of Keras that fruitcnn reads is read here, and nowhere else.

pyproject.toml lets in no Keras newer than those that had all of them; tests/model/test_keras_graph.py names each that
a newer one lacks.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import keras
import torch
from keras import tree
from keras.src.models.functional import Functional


def operation_of(tensor: keras.KerasTensor) -> Any:
    """The layer, or operation, that a tensor of a graph comes out of."""
    return tensor._keras_history.operation


def is_functional(operation: Any) -> bool:
    """Whether it is a model that its graph says everything about: a subclass may compute something else."""
    return type(graph_of(operation) if type(operation) is keras.Sequential else operation) is Functional


def graph_of(model: Any) -> Any:
    """A functional model as it is, a sequential one as the functional model that it keeps; None before it is built."""
    return model._functional if isinstance(model, keras.Sequential) else model


def calls_of(model: Any) -> Iterator["Call"]:
    """The calls in a functional or sequential model, each after those that it takes its inputs from."""
    nodes = graph_of(model)._nodes_by_depth
    for depth in sorted(nodes, reverse=True):
        yield from (Call(node) for node in nodes[depth] if not node.is_input)


class Call:
    """One call of an operation: a layer that is used twice has two."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.operation: Any = node.operation
        self.inputs: list[keras.KerasTensor] = node.input_tensors
        self.outputs: list[keras.KerasTensor] = node.outputs

    @property
    def mode(self) -> bool | None:
        """The `training` that the layer was called with; None where it has the whole model's.

        Where nothing was said Keras notes the default of the layer's `call`: False of Dropout, though it follows the
        model.
        """
        mode: bool | None = self._node.arguments.kwargs.get("training")
        parameter = inspect.signature(self.operation.call).parameters.get("training")
        return None if parameter is not None and mode == parameter.default else mode

    @property
    def takes_only_tensors(self) -> bool:
        """Whether it was called with a tensor, or a list of them, and nothing else but a mode."""
        arguments, keywords = self._node.arguments.args, self._node.arguments.kwargs
        flat = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list | tuple) else arguments
        return (
            len(arguments) == 1
            and all(isinstance(item, keras.KerasTensor) for item in flat)
            and all(value is None for name, value in keywords.items() if name != "training")
        )

    def run(self, *values: torch.Tensor, training: bool) -> Any:
        """What Keras itself computes of values in place of the inputs, each with its dimensions in Keras' order."""
        by_tensor = {id(tensor): value for tensor, value in zip(self.inputs, values, strict=True)}
        args, kwargs = self._node.arguments.fill_in(by_tensor)
        if isinstance(self.operation, keras.Layer) and self.operation._call_has_training_arg:
            kwargs = {**kwargs, "training": training}
        return tree.flatten(call_on_device_of(values[0], self.operation, *args, **kwargs))


def call_on_device_of(value: torch.Tensor, operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call an operation of Keras, which would move all that it takes to a device of its own, where a value is."""
    with keras.device(value.device.type):
        return operation(*args, **kwargs)


def own_losses(operation: Any) -> list[torch.Tensor]:
    """What a layer, and those in it, added to the loss in their last call; not the penalties of weights."""
    return [loss for layer in layers_in(operation) for loss in layer._losses]


def layers_in(operation: Any) -> list[Any]:
    """A layer and those in it, to any depth."""
    return list(operation._flatten_layers()) if isinstance(operation, keras.Layer) else []
