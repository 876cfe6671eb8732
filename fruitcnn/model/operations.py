"""What each Keras layer means, in torch's own operations: the one table of layers and of the settings understood.

Four-dimensional tensors stand as [N, C, H, W] here where Keras has [N, H, W, C]; all others are as in Keras.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch
from keras import layers
from torch.nn import functional

# Called with the input tensors and training=bool; gives a tensor, or a list of several.
Function = Callable[..., Any]
Shape = tuple[int, int, int]
# Makes a layer's function from the layer and the rank of its input; None where it can't.
Builder = Callable[[Any, int], Function | None]


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What one call of a layer is in torch.

    by_keras: Keras itself runs it. takes_flattened: its input may have been flattened channels first.
    flattened: the height, width and channels of its output, where that was flattened channels first.
    """

    function: Function
    by_keras: bool = False
    takes_flattened: bool = False
    flattened: Shape | None = None


def torch_function(node: Any, flattened: Sequence[Shape | None]) -> Meaning:
    """The meaning of one node of a functional model; flattened: see Meaning, for each of its inputs."""
    layer, rank = node.operation, len(node.input_tensors[0].shape)
    if not _plain_call(node):
        return Meaning(_by_keras(node), by_keras=True)
    if type(layer) is layers.Flatten and rank == 4 and layer.data_format == "channels_last":
        height, width, channels = node.input_tensors[0].shape[1:]
        return Meaning(lambda x, training: x.flatten(1), flattened=(height, width, channels))
    if type(layer) is layers.Dense and flattened[0] is not None and _understood(layer):
        return Meaning(_dense_of_flattened(layer, flattened[0]), takes_flattened=True)
    builder = _BUILDERS.get(type(layer))
    function = builder(layer, rank) if builder and _understood(layer) else None
    if function is None:
        return Meaning(_by_keras(node), by_keras=True)
    if type(layer) in (layers.Dropout, layers.ReLU) and flattened[0] is not None:
        return Meaning(function, takes_flattened=True, flattened=flattened[0])
    return Meaning(function)


def unflattened(shape: Shape) -> Function:
    """From [N, C*H*W] to Keras' own order, [N, H*W*C]; shape: height, width, channels."""
    height, width, channels = shape
    return lambda x, training: x.unflatten(1, (channels, height, width)).permute(0, 2, 3, 1).flatten(1)


def _plain_call(node: Any) -> bool:
    """Whether a layer was called with its inputs and nothing else: no mask, no training=, no further arguments."""
    arguments = node.arguments
    inputs = arguments.args[0] if len(arguments.args) == 1 else None
    tensors = inputs if isinstance(inputs, list | tuple) else [inputs]
    same = len(tensors) == len(node.input_tensors) and all(
        a is b for a, b in zip(tensors, node.input_tensors, strict=True)
    )
    return same and len(node.outputs) == 1 and all(value is None for value in arguments.kwargs.values())


def _understood(layer: Any) -> bool:
    """Whether every setting of a layer has a meaning here: new ones of a later Keras are left to Keras."""
    known = _SETTINGS[type(layer)]
    return layer.dtype_policy.name == "float32" and all(
        key in _EVERYWHERE
        or key.endswith(
            ("_initializer", "kernel_regularizer", "bias_regularizer", "gamma_regularizer", "beta_regularizer")
        )
        or value is None
        or (key in known and (known[key] is ... or value == known[key]))
        for key, value in layer.get_config().items()
    )


def _by_keras(node: Any) -> Function:
    """Keras' own layer, in its own layout."""
    operation = node.operation
    learns = isinstance(operation, layers.Layer) and operation._call_has_training_arg

    def run(*values: torch.Tensor, training: bool) -> list[torch.Tensor]:
        inputs = {id(t): _to_keras(v) for t, v in zip(node.input_tensors, values, strict=True)}
        args, kwargs = node.arguments.fill_in(inputs)
        if learns and kwargs.get("training") is None:
            kwargs["training"] = training
        return [_from_keras(value) for value in keras.tree.flatten(operation(*args, **kwargs))]

    return run


def _to_keras(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def _from_keras(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


# --- activations ------------------------------------------------------------------------------------------------------
def _softmax(function: Callable[..., torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: function(x, dim=1 if x.ndim == 4 else -1)


_ACTIVATIONS: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
    keras.activations.linear: lambda x: x,
    keras.activations.relu: functional.relu,
    keras.activations.relu6: functional.relu6,
    keras.activations.silu: functional.silu,
    keras.activations.hard_silu: functional.hardswish,
    keras.activations.sigmoid: torch.sigmoid,
    keras.activations.hard_sigmoid: functional.hardsigmoid,
    keras.activations.tanh: torch.tanh,
    keras.activations.exponential: torch.exp,
    keras.activations.elu: functional.elu,
    keras.activations.selu: functional.selu,
    keras.activations.softplus: functional.softplus,
    keras.activations.gelu: functional.gelu,
    keras.activations.leaky_relu: lambda x: functional.leaky_relu(x, 0.2),
    keras.activations.softmax: _softmax(torch.softmax),
    keras.activations.log_softmax: _softmax(torch.log_softmax),
}


def _activated(layer: Any, function: Function) -> Function | None:
    """A layer's function, followed by its `activation`; None for one that is not known."""
    if layer.activation is keras.activations.linear:
        return function
    activation = _ACTIVATIONS.get(layer.activation)
    return activation and (lambda *x, training: activation(function(*x, training=training)))


def _relu(layer: layers.ReLU, rank: int) -> Function | None:
    if layer.threshold:
        return None
    slope, top = float(layer.negative_slope), layer.max_value
    if not slope and top is None:
        return lambda x, training: functional.relu(x)
    if not slope:
        return lambda x, training: x.clamp(0.0, float(top))
    return lambda x, training: functional.leaky_relu(x, slope).clamp(max=math.inf if top is None else float(top))


# --- convolutions and pooling -----------------------------------------------------------------------------------------
def same_pads(lengths: Sequence[int], layer: Any, sizes: Sequence[int], dilation: Sequence[int] = (1, 1)) -> list[int]:
    """Pads of an input of `lengths` (height, width) as torch takes them: [left, right, top, bottom].

    In Keras' `same` the odd pixel goes to the end.
    """
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    pads = []
    for length, size, stride, step in zip(lengths, sizes, layer.strides, dilation, strict=True):
        reach = (size - 1) * step + 1
        total = max(0, (-(-length // stride) - 1) * stride + reach - length)
        pads.append([total // 2, total - total // 2])
    return pads[1] + pads[0]


def _convolve(layer: Any, kernel: Callable[[], torch.Tensor], groups: int, bias: torch.Tensor | None) -> Function:
    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        left, right, top, bottom = pads = same_pads(x.shape[2:], layer, layer.kernel_size, layer.dilation_rate)
        if (left, top) != (right, bottom):
            x, left, top = functional.pad(x, pads), 0, 0
        return functional.conv2d(x, kernel(), bias, layer.strides, (top, left), layer.dilation_rate, groups)

    return run


def _laid_out(kernel: torch.Tensor, order: tuple[int, ...]) -> torch.Tensor:
    """Keras' kernel, height-width-in-out, over the memory order that torch's convolutions read without a copy."""
    back = [order.index(axis) for axis in range(4)]
    laid_out = kernel.data.permute(order).contiguous(memory_format=torch.channels_last)
    kernel.data = laid_out.permute(back)
    return kernel


def _conv(layer: layers.Conv2D, rank: int) -> Function | None:
    kernel = _laid_out(layer.kernel.value, (3, 2, 0, 1))
    bias = layer.bias.value if layer.use_bias else None
    return _activated(layer, _convolve(layer, lambda: kernel.permute(3, 2, 0, 1), layer.groups, bias))


def _depthwise_kernel(kernel: torch.Tensor) -> Callable[[], torch.Tensor]:
    _laid_out(kernel, (2, 3, 0, 1))
    # [H, W, in, multiplier] -> [in * multiplier, 1, H, W]
    return lambda: kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None]


def _depthwise(layer: layers.DepthwiseConv2D, rank: int) -> Function | None:
    bias = layer.bias.value if layer.use_bias else None
    kernel = _depthwise_kernel(layer.kernel.value)
    return _activated(layer, _convolve(layer, kernel, layer.kernel.shape[2], bias))


def _separable(layer: layers.SeparableConv2D, rank: int) -> Function | None:
    depthwise = _convolve(layer, _depthwise_kernel(layer.depthwise_kernel.value), layer.depthwise_kernel.shape[2], None)
    pointwise = _laid_out(layer.pointwise_kernel.value, (3, 2, 0, 1))
    bias = layer.bias.value if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        return functional.conv2d(depthwise(x, training=training), pointwise.permute(3, 2, 0, 1), bias)

    return _activated(layer, run)


def _max_pool(layer: layers.MaxPooling2D, rank: int) -> Function:
    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        pads = same_pads(x.shape[2:], layer, layer.pool_size)
        x = functional.pad(x, pads, value=-math.inf) if any(pads) else x
        return functional.max_pool2d(x, layer.pool_size, layer.strides)

    return run


def _average_pool(layer: layers.AveragePooling2D, rank: int) -> Function:
    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        pads = same_pads(x.shape[2:], layer, layer.pool_size)
        if not any(pads):
            return functional.avg_pool2d(x, layer.pool_size, layer.strides)
        # Only pixels of the picture count: the sums are divided by how many of them a window holds.
        there = functional.pad(torch.ones_like(x[:1, :1]), pads)
        counts = functional.avg_pool2d(there, layer.pool_size, layer.strides)
        return functional.avg_pool2d(functional.pad(x, pads), layer.pool_size, layer.strides) / counts

    return run


def _global(reduce: Callable[..., torch.Tensor]) -> Builder:
    return lambda layer, rank: lambda x, training: reduce(x, dim=(2, 3), keepdim=bool(layer.keepdims))


# --- dense, normalisation, shapes -------------------------------------------------------------------------------------
def _dense(layer: layers.Dense, rank: int) -> Function | None:
    kernel, bias = layer.kernel.value, layer.bias.value if layer.use_bias else None
    if rank == 4:
        return _activated(layer, lambda x, training: functional.conv2d(x, kernel.t()[:, :, None, None], bias))
    return _activated(layer, lambda x, training: functional.linear(x, kernel.t(), bias))


def _dense_of_flattened(layer: layers.Dense, shape: Shape) -> Function:
    """A Dense on [N, C*H*W]: its kernel's rows, height-width-channels, are put in that order."""
    height, width, channels = shape
    kernel, bias = layer.kernel.value, layer.bias.value if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        rows = kernel.view(height, width, channels, -1).permute(3, 2, 0, 1).flatten(1)  # [units, C*H*W]
        return functional.linear(x, rows, bias)

    return _activated(layer, run) or _by_name(layer, run)


def _by_name(layer: Any, function: Function) -> Function:
    return lambda x, training: layer.activation(function(x, training=training))


def _batch_norm(layer: layers.BatchNormalization, rank: int) -> Function | None:
    if rank != 4 or layer.axis not in (-1, 3):
        # In few samples torch's unbiased variance is not Keras' biased one; in the N*H*W of a picture they are equal.
        return None
    statistics = (layer.moving_mean.value, layer.moving_variance.value)
    gamma = layer.gamma.value if layer.scale else None
    beta = layer.beta.value if layer.center else None
    rate = 1 - layer.momentum
    # As in Keras, a frozen layer uses what it knows and learns nothing.
    return lambda x, training: functional.batch_norm(
        x, *statistics, gamma, beta, training and layer.trainable, rate, layer.epsilon
    )


def _layer_norm(layer: layers.LayerNormalization, rank: int) -> Function | None:
    if layer.axis not in (-1, rank - 1, [-1], [rank - 1]):
        return None
    gamma = layer.gamma.value if layer.scale else None
    beta = layer.beta.value if layer.center else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1) if rank == 4 else x  # channels last
        x = functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.epsilon)
        return x.permute(0, 3, 1, 2) if rank == 4 else x

    return run


def _rescaling(layer: layers.Rescaling, rank: int) -> Function | None:
    if not isinstance(layer.scale, int | float) or not isinstance(layer.offset, int | float):
        return None
    scale, offset = float(layer.scale), float(layer.offset)
    return lambda x, training: x * scale + offset if offset else x * scale


def _zero_pad(layer: layers.ZeroPadding2D, rank: int) -> Function:
    (top, bottom), (left, right) = layer.padding
    return lambda x, training: functional.pad(x, (left, right, top, bottom))


def _concatenate(layer: layers.Concatenate, rank: int) -> Function | None:
    if layer.axis not in (-1, rank - 1):
        return None
    return lambda *x, training: torch.cat(x, dim=1 if rank == 4 else -1)


def _reduce(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Builder:
    def run(first: torch.Tensor, *others: torch.Tensor, training: bool) -> torch.Tensor:
        for other in others:
            first = function(first, other)
        return first

    return lambda layer, rank: run


def _reshape(layer: layers.Reshape, rank: int) -> Function | None:
    # From a vector to a picture of one pixel, as squeeze-and-excitation does: the same numbers in either layout.
    if rank != 2 or len(layer.target_shape) != 3 or tuple(layer.target_shape[:2]) != (1, 1):
        return None
    return lambda x, training: x[:, :, None, None]


def _softmax_layer(layer: layers.Softmax, rank: int) -> Function | None:
    return None if layer.axis not in (-1, rank - 1) else lambda x, training: torch.softmax(x, 1 if rank == 4 else -1)


_BUILDERS: dict[type, Builder] = {
    layers.Rescaling: _rescaling,
    layers.Conv2D: _conv,
    layers.DepthwiseConv2D: _depthwise,
    layers.SeparableConv2D: _separable,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
    layers.ReLU: _relu,
    layers.Activation: lambda layer, rank: _activated(layer, lambda x, training: x),
    layers.Softmax: _softmax_layer,
    layers.MaxPooling2D: _max_pool,
    layers.AveragePooling2D: _average_pool,
    layers.GlobalAveragePooling2D: _global(torch.mean),
    layers.GlobalMaxPooling2D: _global(torch.amax),
    layers.ZeroPadding2D: _zero_pad,
    layers.Add: _reduce(torch.add),
    layers.Multiply: _reduce(torch.mul),
    layers.Concatenate: _concatenate,
    layers.Reshape: _reshape,
    # A picture is flattened above; flattening a vector changes nothing.
    layers.Flatten: lambda layer, rank: (lambda x, training: x) if rank == 2 else None,
    layers.Dropout: lambda layer, rank: lambda x, training: functional.dropout(x, layer.rate, training),
    layers.Dense: _dense,
}

# Settings that have no part in what a layer computes.
_EVERYWHERE = ("name", "trainable", "dtype")
_CHANNELS_LAST = {"data_format": "channels_last"}
_WINDOW = {"padding": ..., "strides": ..., **_CHANNELS_LAST}
_CONVOLUTION = {"kernel_size": ..., "dilation_rate": ..., "activation": ..., "use_bias": ..., **_WINDOW}
# The settings that the functions above understand: any value (...), or only this one. None is always "not set".
_SETTINGS: dict[type, dict[str, Any]] = {
    layers.Rescaling: {"scale": ..., "offset": ...},
    layers.Conv2D: {"filters": ..., "groups": ..., **_CONVOLUTION},
    layers.DepthwiseConv2D: {"depth_multiplier": ..., **_CONVOLUTION},
    layers.SeparableConv2D: {"filters": ..., "depth_multiplier": ..., **_CONVOLUTION},
    layers.BatchNormalization: {
        **{"axis": ..., "momentum": ..., "epsilon": ..., "center": ..., "scale": ...},
        **{"synchronized": False, "renorm": False, "renorm_momentum": ...},
    },
    layers.LayerNormalization: {"axis": ..., "epsilon": ..., "center": ..., "scale": ..., "rms_scaling": False},
    layers.ReLU: {"max_value": ..., "negative_slope": ..., "threshold": ...},
    layers.Activation: {"activation": ...},
    layers.Softmax: {"axis": ...},
    layers.MaxPooling2D: {"pool_size": ..., **_WINDOW},
    layers.AveragePooling2D: {"pool_size": ..., **_WINDOW},
    layers.GlobalAveragePooling2D: {"keepdims": ..., **_CHANNELS_LAST},
    layers.GlobalMaxPooling2D: {"keepdims": ..., **_CHANNELS_LAST},
    layers.ZeroPadding2D: {"padding": ..., **_CHANNELS_LAST},
    layers.Add: {},
    layers.Multiply: {},
    layers.Concatenate: {"axis": ...},
    layers.Reshape: {"target_shape": ...},
    layers.Flatten: {**_CHANNELS_LAST},
    layers.Dropout: {"rate": ...},
    layers.Dense: {"units": ..., "activation": ..., "use_bias": ...},
}
