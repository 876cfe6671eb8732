"""Activations in torch: the table of Keras' functions, and the layers that are one."""

import math
from collections.abc import Callable
from typing import Any

import torch
from keras import activations, layers
from torch.nn import functional

from fruitcnn.model.layout import Builder, Function, InputLayout

# Functions of (values, dimension of the channels).
ACTIVATIONS: dict[Any, Callable[[torch.Tensor, int], torch.Tensor]] = {
    activations.linear: lambda x, dim: x,
    activations.relu: lambda x, dim: functional.relu(x),
    activations.relu6: lambda x, dim: functional.relu6(x),
    activations.silu: lambda x, dim: functional.silu(x),
    activations.hard_silu: lambda x, dim: functional.hardswish(x),
    activations.sigmoid: lambda x, dim: torch.sigmoid(x),
    activations.hard_sigmoid: lambda x, dim: functional.hardsigmoid(x),
    activations.gelu: lambda x, dim: functional.gelu(x),
    activations.elu: lambda x, dim: functional.elu(x),
    activations.selu: lambda x, dim: functional.selu(x),
    activations.leaky_relu: lambda x, dim: functional.leaky_relu(x, 0.2),
    activations.mish: lambda x, dim: functional.mish(x),
    activations.softplus: lambda x, dim: functional.softplus(x),
    activations.softsign: lambda x, dim: functional.softsign(x),
    activations.tanh: lambda x, dim: torch.tanh(x),
    activations.exponential: lambda x, dim: torch.exp(x),
    activations.softmax: lambda x, dim: functional.softmax(x, dim),
    activations.log_softmax: lambda x, dim: functional.log_softmax(x, dim),
}


def activated(layer: Any, function: Function, dimension: int) -> Function | None:
    """A layer's function followed by its `activation=`; None where that is not in the table."""
    activation = ACTIVATIONS.get(layer.activation)
    if layer.activation is activations.linear:
        return function
    if layer.activation is activations.relu:
        # Over its input, which no gradient of a convolution or a Dense reads: new memory costs time.
        return lambda x, training: torch.relu_(function(x, training=training))
    return activation and (lambda x, training: activation(function(x, training=training), dimension))


def with_activation(build: Callable[[Any, InputLayout], Function]) -> Builder:
    """A builder whose function is followed by the layer's `activation=`."""
    return lambda layer, layout: activated(layer, build(layer, layout), layout.channels)


def activation_layer(layer: layers.Activation, layout: InputLayout) -> Function | None:
    """An Activation, where its function is in the table."""
    function = ACTIVATIONS.get(layer.activation)
    return function and (lambda x, training: function(x, layout.channels))


def relu(layer: layers.ReLU, layout: InputLayout) -> Function | None:
    """A ReLU with any slope and top, but no threshold."""
    if layer.threshold:
        return None
    slope, highest = float(layer.negative_slope), layer.max_value
    if slope:
        top = math.inf if highest is None else float(highest)
        return lambda x, training: functional.leaky_relu(x, slope).clamp(max=top)
    return lambda x, training: functional.relu(x) if highest is None else x.clamp(0.0, float(highest))


def is_relu(layer: Any) -> bool:
    """Whether a layer is a ReLU without settings."""
    if type(layer) is layers.Activation:
        return layer.activation is activations.relu
    return type(layer) is layers.ReLU and not layer.negative_slope and layer.max_value is None


def softmax(layer: layers.Softmax, layout: InputLayout) -> Function | None:
    """A Softmax along one axis."""
    if not isinstance(layer.axis, int):
        return None
    dimension = layout.dimension(layer.axis)
    return lambda x, training: functional.softmax(x, dimension)


def leaky_relu(layer: layers.LeakyReLU, layout: InputLayout) -> Function:
    """A LeakyReLU."""
    return lambda x, training: functional.leaky_relu(x, float(layer.negative_slope))
