"""A functional Keras model run in torch's own operations: for training, for evaluation and for the ONNX export.

A Keras model has to be channels_last to run on every backend, and in that layout Keras' torch backend spends two thirds
of a training step on copies and on a batch norm in seven passes; on a GPU the Python around each layer costs more than
the layer. Here the layers are looked up once and run as plain torch functions on their own Keras Parameters: what is
trained is the Keras model itself, and no weight is ever copied.

What a layer means is written once, in `fruitcnn.model.operations`. A layer, or a setting of one, that has no entry
there is run by Keras itself, in Keras' own layout: slower, and right.
"""

from collections.abc import Sequence
from typing import Any

import keras
import torch
from torch import nn

from fruitcnn.model.operations import Function, torch_function, unflattened

# A step: what runs, the slots of its inputs, the slots of its outputs.
_Step = tuple[Function, list[int], list[int]]


class TorchForward(nn.Module):
    """From pixels [N, 3, S, S] to what `model` computes from pixels [N, S, S, 3]: a tensor, or a tuple of several.

    Four-dimensional tensors stand as [N, C, H, W] here, channels_last in memory for speed; all others as in Keras. The
    parameters are those of `model`. `foreign` names the layers that Keras runs itself.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model
        self.foreign: list[str] = []
        self._steps: list[_Step] = []
        self._slots = {id(tensor): slot for slot, tensor in enumerate(model.inputs)}
        # Height, width and channels of tensors that were flattened in torch's order, channels first.
        self._flattened: dict[int, tuple[int, int, int]] = {}
        for node in _nodes(model):
            self._add(node)
        self._outputs = [self._slots[id(tensor)] for tensor in model.outputs]
        for tensor, slot in zip(model.outputs, self._outputs, strict=True):
            if id(tensor) in self._flattened:
                self._steps.append((unflattened(self._flattened[id(tensor)]), [slot], [slot]))
        # (regularizer, parameter) pairs, looked up once: `model.losses` walks all layers at every step.
        self._penalties = [
            (variable.regularizer, variable.value)
            for variable in model.trainable_variables
            if variable.regularizer is not None
        ]

    def forward(self, pixels: torch.Tensor) -> Any:
        """The model's output for pixels [N, 3, S, S]; dropout and batch norm follow `.train()` and `.eval()`."""
        values: dict[int, torch.Tensor] = {0: pixels}
        for function, inputs, outputs in self._steps:
            results = function(*(values[slot] for slot in inputs), training=self.training)
            values.update(zip(outputs, results if isinstance(results, list) else [results], strict=True))
        found = tuple(values[slot] for slot in self._outputs)
        return found if len(found) > 1 else found[0]

    def penalty(self) -> torch.Tensor | float:
        """The sum of the weights' regularisation losses (L2 and the like), as Keras adds it to the loss."""
        return sum((regularizer(weight) for regularizer, weight in self._penalties), 0.0)

    def _add(self, node: Any) -> None:
        inputs = [self._slots[id(tensor)] for tensor in node.input_tensors]
        flattened = [self._flattened.get(id(tensor)) for tensor in node.input_tensors]
        found = torch_function(node, flattened)
        if found.by_keras:
            self.foreign.append(node.operation.name)
        if not found.takes_flattened:
            for position, shape in enumerate(flattened):
                if shape is not None:
                    self._steps.append((unflattened(shape), [inputs[position]], [self._new_slot()]))
                    inputs[position] = self._steps[-1][2][0]
        outputs = [self._new_slot() for _ in node.outputs]
        self._slots |= {id(tensor): slot for tensor, slot in zip(node.outputs, outputs, strict=True)}
        if found.flattened is not None:
            self._flattened[id(node.outputs[0])] = found.flattened
        self._steps.append((found.function, inputs, outputs))

    def _new_slot(self) -> int:
        self._count = getattr(self, "_count", len(self.model.inputs)) + 1
        return self._count


def _nodes(model: keras.Model) -> Sequence[Any]:
    """The calls of layers that make up the model, each after those that it takes its inputs from."""
    by_depth = model._nodes_by_depth
    return [
        node
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if node.operation and not node.is_input
    ]
