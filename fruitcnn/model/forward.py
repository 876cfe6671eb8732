"""A Keras model's forward pass in torch's own operations, for training at torch's own speed.

A Keras model has to be channels_last to run on every backend, and in that layout Keras' torch backend spends two thirds
of a training step on copies and on a batch norm in seven passes; on a GPU the Python around each layer costs more than
the layer. Here the layers are looked up once and run as plain torch functions on their own Keras Parameters: what is
trained is the Keras model itself, and no weight is ever copied.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from keras import layers
from torch import nn
from torch.nn import functional

Function = Callable[..., torch.Tensor]


class TorchForward(nn.Module):
    """From pixels [N, 3, S, S] (channels_last in memory for speed) to logits [N, C], as `model` computes them.

    Its parameters are those of `model`. Raises KeyError for a kind of layer that it does not know.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.model = model
        self._steps: list[tuple[Function, list[int]]] = []
        slots = {id(model.input): 0}
        # Keras keeps the layers by depth: each comes after those that it takes its input from.
        for layer in model.layers[1 : model.layers.index(model.get_layer("logits")) + 1]:
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            self._steps.append((_FUNCTIONS[type(layer)](layer), [slots[id(tensor)] for tensor in inputs]))
            slots[id(layer.output)] = len(self._steps)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits [N, C]; dropout and batch norm follow `.train()` and `.eval()`."""
        values = [pixels]
        for function, inputs in self._steps:
            values.append(function(*(values[slot] for slot in inputs), training=self.training))
        return values[-1]


def _conv(layer: layers.Conv2D) -> Function:
    kernel = layer.kernel.value
    # Keras' shape, height-width-in-out, over the memory order that torch's convolutions read without a copy.
    laid_out = kernel.data.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    kernel.data = laid_out.permute(2, 3, 1, 0)
    bias = layer.bias.value if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        top, left, bottom, right = conv_pads(layer, x.shape[2:])
        if (top, left) != (bottom, right):
            x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, layer.strides, (top, left))

    return run


def conv_pads(layer: layers.Conv2D, lengths: Sequence[int]) -> list[int]:
    """Zeros around an input of `lengths` (height, width) as [top, left, bottom, right].

    In Keras' `same` the odd pixel goes to the end.
    """
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    shapes = zip(lengths, layer.kernel_size, layer.strides, strict=True)
    totals = [max(0, (-(-length // stride) - 1) * stride + kernel - length) for length, kernel, stride in shapes]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _batch_norm(layer: layers.BatchNormalization) -> Function:
    # The moving variance becomes torch's unbiased one: for the N*H*W samples of a batch the two do not differ.
    statistics = (layer.moving_mean.value, layer.moving_variance.value)
    affine = (layer.gamma.value, layer.beta.value)
    return lambda x, training: functional.batch_norm(
        x, *statistics, *affine, training, 1 - layer.momentum, layer.epsilon
    )


def _dense(layer: layers.Dense) -> Function:
    kernel, bias = layer.kernel.value, layer.bias.value
    return lambda x, training: functional.linear(x, kernel.t(), bias)


_FUNCTIONS: dict[type[layers.Layer], Callable[[Any], Function]] = {
    layers.Rescaling: lambda layer: lambda x, training: x * float(layer.scale) + float(layer.offset),
    layers.Conv2D: _conv,
    layers.BatchNormalization: _batch_norm,
    layers.ReLU: lambda layer: lambda x, training: functional.relu(x),
    layers.MaxPooling2D: lambda layer: lambda x, training: functional.max_pool2d(x, layer.pool_size, layer.strides),
    layers.AveragePooling2D: lambda layer: lambda x, training: functional.avg_pool2d(x, layer.pool_size, layer.strides),
    layers.GlobalAveragePooling2D: lambda layer: lambda x, training: x.mean((2, 3)),
    layers.Add: lambda layer: lambda x, y, training: x + y,
    # Keras flattens height, width, channels.
    layers.Flatten: lambda layer: lambda x, training: x.permute(0, 2, 3, 1).flatten(1),
    layers.Dropout: lambda layer: lambda x, training: functional.dropout(x, layer.rate, training),
    layers.Dense: _dense,
}
