"""A Keras model's forward pass in torch's own operations: for training at torch's own speed, and for export.

A Keras model has to be channels_last to run on every backend, and in that layout Keras' torch backend spends two thirds
of a training step on copies and on a batch norm in seven passes; on a GPU the Python around each layer costs more than
the layer. Here the graph is walked once, and its layers run as plain torch functions (`operations.py`) on their own
Keras Parameters: what is trained is the Keras model itself, and no weight is ever copied. Whatever the table does not
understand is computed by the Keras layer itself, in Keras' own order of dimensions: slower, but right.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import keras
import torch
from keras import layers
from torch import nn

from fruitcnn.model.convolutions import rescaled_convolution
from fruitcnn.model.keras_graph import Call, call_on_device_of, calls_of, graph_of, is_functional, layers_in, own_losses
from fruitcnn.model.layout import Function, InputLayout
from fruitcnn.model.operations import can_rescale, entry_of, flattened_dense, scalar_rescaling
from fruitcnn.model.steps import Step, reuse_memory, without_unused


class _Order(enum.Enum):
    """How a tensor's dimensions lie: as in Keras; as NCHW; as a flattened NCHW (Keras flattens NHWC)."""

    KERAS = "keras"
    NCHW = "nchw"
    FLAT = "flat"


@dataclasses.dataclass(frozen=True)
class _Value:
    """A tensor of the graph: which result of the program it is, how it lies, and its shape in Keras.

    unflattened: (H, W, C) of one that lies FLAT.
    """

    slot: int
    order: _Order
    shape: tuple[int | None, ...]
    unflattened: tuple[int, int, int] = (0, 0, 0)


class TorchForward(nn.Module):
    """From pixels [N, 3, S, S] (channels_last in memory for speed) to what `model` computes of them.

    model: a functional or sequential Keras model from pixels [N, S, S, 3]. The result is the model's output, or a tuple
    of its outputs where it has several, each with its dimensions in Keras' own order. `foreign` names the layers that
    Keras runs itself. The parameters are the weights of `model`, in their order, moving statistics included.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        # Registered by number, not as Keras' own modules: the names of those may differ in another process.
        self.weights = nn.ParameterList([variable.value for variable in model.weights])
        # In a tuple, out of sight of nn.Module, which would register the model's own modules too.
        self._model = (model,)
        program = _Program()
        pixels = _Value(0, _Order.NCHW, tuple(model.inputs[0].shape))
        outputs = program.add_model(model, [pixels], training=None)
        self._outputs = [program.in_order(value, _Order.KERAS).slot for value in outputs]
        self._size = len(program.steps) + 1
        self._steps = without_unused(program.steps, self._outputs)
        reuse_memory(self._steps, self._outputs)
        self._keras_layers = program.keras_layers
        self.foreign: list[str] = [operation.name for operation in program.keras_layers]
        # Looked up once: `model.losses` walks all layers at every step.
        self._penalties = [
            (variable.regularizer, variable) for variable in model.trainable_variables if variable.regularizer
        ]

    def foreign_batch_norms(self) -> list[str]:
        """Names of the batch norms that Keras runs itself, within other layers too."""
        inner = (layer for operation in self._keras_layers for layer in layers_in(operation))
        return [layer.name for layer in inner if isinstance(layer, layers.BatchNormalization)]

    @property
    def model(self) -> keras.Model:
        """The Keras model."""
        return self._model[0]

    def forward(self, pixels: torch.Tensor) -> Any:
        """The model's output; dropout and batch norm follow `.train()` and `.eval()`."""
        values: list[Any] = [None] * self._size
        values[0] = pixels
        training = self.training
        for step in self._steps:
            values[step.slot] = step.function(*[values[slot] for slot in step.inputs], training=training)
            for slot in step.released:
                values[slot] = None
        outputs = tuple(values[slot] for slot in self._outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def penalty(self) -> torch.Tensor | float:
        """The sum of the regularisation losses: the weights' (L2 and the like), and the last forward's activities'."""
        penalties = [
            call_on_device_of(variable.value, regularizer, variable) for regularizer, variable in self._penalties
        ]
        return sum([*penalties, *(loss for layer in self._keras_layers for loss in own_losses(layer))], 0.0)


class _Program:
    """The steps of a model, as they are found."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        # What Keras runs itself.
        self.keras_layers: list[Any] = []
        # Rescalings by the slot of their result, with their input: a convolution may do their work.
        self._rescalings: dict[int, tuple[layers.Rescaling, _Value]] = {}

    def add_model(self, model: Any, inputs: list[_Value], training: bool | None) -> list[_Value]:
        """All operations of a model; training: what it was called with. Returns its outputs."""
        graph = graph_of(model)
        known = {id(tensor): value for tensor, value in zip(graph.inputs, inputs, strict=True)}
        for call in calls_of(graph):
            results = self._add_call(call, [known[id(tensor)] for tensor in call.inputs], training)
            known.update({id(tensor): value for tensor, value in zip(call.outputs, results, strict=True)})
        return [known[id(tensor)] for tensor in graph.outputs]

    def in_order(self, value: _Value, order: _Order) -> _Value:
        """The same tensor with its dimensions in this order."""
        if value.order is order or (value.order is not _Order.FLAT and len(value.shape) != 4):
            return value
        if value.order is _Order.FLAT:
            height, width, channels = value.unflattened
            return self._add(
                lambda x, training: x.unflatten(1, (channels, height, width)).permute(0, 2, 3, 1).flatten(1),
                [value], _Order.KERAS, value.shape,
            )  # fmt: skip
        axes = (0, 3, 1, 2) if order is _Order.NCHW else (0, 2, 3, 1)
        return self._add(lambda x, training: x.permute(axes), [value], order, value.shape)

    def _add(self, function: Function, inputs: list[_Value], order: _Order, shape: Any, **more: Any) -> _Value:
        slot = len(self.steps) + 1
        self.steps.append(Step(function, [value.slot for value in inputs], slot))
        return _Value(slot, order, tuple(shape), **more)

    def _add_call(self, call: Call, inputs: list[_Value], training: bool | None) -> list[_Value]:
        training = training if call.mode is None else call.mode
        plain = call.takes_only_tensors
        if plain and is_functional(call.operation):
            return self.add_model(call.operation, inputs, training)
        result = self._add_understood(call, inputs, training) if plain and len(call.outputs) == 1 else None
        return self._add_keras(call, inputs, training) if result is None else [result]

    def _add_understood(self, call: Call, inputs: list[_Value], training: bool | None) -> _Value | None:
        """What the table understands; None for everything else."""
        layer, shape = call.operation, call.outputs[0].shape
        entry = entry_of(layer)
        if entry is None:
            return None
        rearranged = self._add_rearranging(layer, inputs[0], shape)
        if rearranged is not None:
            return rearranged
        if type(layer) is layers.Dense and inputs[0].order is _Order.FLAT:
            function: Function | None = flattened_dense(layer, inputs[0].unflattened)
            return function and self._add(function, inputs, _Order.KERAS, shape)
        taken_over = self._rescalings.get(inputs[0].slot)
        if type(layer) is layers.Conv2D and taken_over and can_rescale(layer, taken_over[0]):
            function, inputs = rescaled_convolution(layer, taken_over[0]), [taken_over[1]]
        else:
            if not entry.any_order or len({value.order for value in inputs}) > 1:
                inputs = [self.in_order(value, _usual_order(value.shape)) for value in inputs]
            function = entry.build(
                layer, InputLayout([value.shape for value in inputs], inputs[0].order is _Order.NCHW)
            )
        if function is None:
            return None
        order = inputs[0].order if len(shape) == len(inputs[0].shape) else _usual_order(shape)
        result = self._add(_in_mode(function, training), inputs, order, shape, unflattened=inputs[0].unflattened)
        self.steps[-1].layer = layer
        if scalar_rescaling(layer):
            self._rescalings[result.slot] = layer, inputs[0]
        return result

    def _add_rearranging(self, layer: Any, value: _Value, shape: Any) -> _Value | None:
        """Flatten, Reshape and Permute: what only changes how values lie."""
        if isinstance(layer, layers.Flatten) and value.order is _Order.NCHW and None not in value.shape[1:]:
            sides = value.shape[1:]
            return self._add(lambda x, training: x.flatten(1), [value], _Order.FLAT, shape, unflattened=sides)
        if isinstance(layer, layers.Flatten):
            return self._add(
                lambda x, training: x.flatten(1), [self.in_order(value, _Order.KERAS)], _Order.KERAS, shape
            )
        if isinstance(layer, layers.Reshape):
            if len(value.shape) == 2 and tuple(shape[1:3]) == (1, 1) and len(shape) == 4:
                value = self.in_order(value, _Order.KERAS)
                return self._add(lambda x, training: x[:, :, None, None], [value], _Order.NCHW, shape)
            sides = tuple(-1 if side is None else side for side in shape[1:])
            value = self.in_order(value, _Order.KERAS)
            # Not `len`, which an exporter takes for a constant.
            return self._add(lambda x, training: x.reshape(x.shape[0], *sides), [value], _Order.KERAS, shape)
        if isinstance(layer, layers.Permute):
            if tuple(layer.dims) == (3, 1, 2) and value.order is _Order.NCHW:
                # It lies like that already.
                return dataclasses.replace(value, order=_Order.KERAS, shape=tuple(shape))
            axes = (0, *layer.dims)
            value = self.in_order(value, _Order.KERAS)
            return self._add(lambda x, training: x.permute(axes), [value], _Order.KERAS, shape)
        return None

    def _add_keras(self, call: Call, inputs: list[_Value], training: bool | None) -> list[_Value]:
        """Whatever it is, by Keras itself."""
        self.keras_layers.append(call.operation)
        inputs = [self.in_order(value, _Order.KERAS) for value in inputs]
        results = self._add(_in_mode(call.run, training), inputs, _Order.KERAS, ())
        return [
            self._add(lambda found, training, number=number: found[number], [results], _Order.KERAS, tensor.shape)
            for number, tensor in enumerate(call.outputs)
        ]


def _usual_order(shape: Sequence[int | None]) -> _Order:
    return _Order.NCHW if len(shape) == 4 else _Order.KERAS


def _in_mode(function: Function, training: bool | None) -> Function:
    """The function in the mode that its layer was called with, whatever the whole model's is."""
    return function if training is None else lambda *x, **ignored: function(*x, training=training)
