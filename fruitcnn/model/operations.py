"""What each kind of Keras layer means in torch: the one table of layers, with the settings that each entry understands.

Tensors of rank 4 are NCHW here (NHWC in Keras), all others are as in Keras. A layer that is not in the table, or has a
setting that its entry does not name, is not interpreted: `interpreter.py` calls the Keras layer itself.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import torch
from keras import activations, layers
from torch.nn import functional

Function = Callable[..., torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Use:
    """One use of a layer. shapes: its inputs', in Keras' order; nchw: whether they come as NCHW."""

    shapes: list[tuple[int | None, ...]]
    nchw: bool

    @property
    def channels(self) -> int:
        """The dimension of the channels, Keras' last one."""
        return 1 if self.nchw else len(self.shapes[0]) - 1

    def dimension(self, axis: int) -> int:
        """Where Keras' axis lies here."""
        axis %= len(self.shapes[0])
        return (0, 2, 3, 1)[axis] if self.nchw else axis


# From a layer and its use to the function that computes it; None where its settings are not understood.
Builder = Callable[[Any, Use], Function | None]


@dataclasses.dataclass(frozen=True)
class Entry:
    """How a kind of layer is built. settings: those that the builder reads; all others must be Keras' defaults.

    any_order: it takes tensors of rank 4 in Keras' order too, and of any order where it works on single values.
    """

    build: Builder
    settings: frozenset[str]
    any_order: bool = False


# They say how a layer starts, learns or is called, not what it computes.
_WITHOUT_MEANING = ("name", "trainable", "dtype", "data_format")
_WITHOUT_MEANING_ENDS = ("_initializer", "_constraint", "_regularizer")


def entry_of(layer: keras.Layer) -> Entry | None:
    """The entry that understands all of this layer's settings, if there is one."""
    entry = LAYERS.get(type(layer))
    if entry is None or layer.compute_dtype != "float32" or getattr(layer, "lora_enabled", False):
        return None
    config = layer.get_config()
    if config.get("data_format", "channels_last") not in (None, "channels_last") or layer.activity_regularizer:
        return None
    defaults = {name: item.default for name, item in inspect.signature(type(layer).__init__).parameters.items()}
    for name, value in config.items():
        if name in entry.settings or name in _WITHOUT_MEANING or name.endswith(_WITHOUT_MEANING_ENDS):
            continue
        if name not in defaults or value != defaults[name]:
            return None
    return entry


def _value(variable: Any) -> torch.Tensor:
    value: torch.Tensor = variable.value
    return value


# --- activations: functions of (values, dimension of the channels)

_ACTIVATIONS: dict[Any, Callable[[torch.Tensor, int], torch.Tensor]] = {
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


def _activated(layer: Any, function: Function, dimension: int) -> Function | None:
    """A layer's function followed by its `activation=`; None where that is not in the table."""
    activation = _ACTIVATIONS.get(layer.activation)
    if layer.activation is activations.linear:
        return function
    return activation and (lambda x, training: activation(function(x, training=training), dimension))


def _with_activation(build: Callable[[Any, Use], Function]) -> Builder:
    return lambda layer, use: _activated(layer, build(layer, use), use.channels)


def _activation(layer: layers.Activation, use: Use) -> Function | None:
    function = _ACTIVATIONS.get(layer.activation)
    return function and (lambda x, training: function(x, use.channels))


def _relu(layer: layers.ReLU, use: Use) -> Function | None:
    if layer.threshold:
        return None
    slope, highest = float(layer.negative_slope), layer.max_value
    if slope:
        top = math.inf if highest is None else float(highest)
        return lambda x, training: functional.leaky_relu(x, slope).clamp(max=top)
    return lambda x, training: functional.relu(x) if highest is None else x.clamp(0.0, float(highest))


def _softmax(layer: layers.Softmax, use: Use) -> Function | None:
    if not isinstance(layer.axis, int):
        return None
    dimension = use.dimension(layer.axis)
    return lambda x, training: functional.softmax(x, dimension)


# --- convolutions and pooling


def same_pads(lengths: Any, kernel: Any, strides: Any, dilation: Any = (1, 1)) -> list[int]:
    """What Keras' `same` adds to an input of `lengths` (height, width): [left, right, top, bottom].

    The odd pixel goes to the end.
    """
    pads = []
    for length, side, stride, gap in zip(lengths, kernel, strides, dilation, strict=True):
        total = max(0, (-(-length // stride) - 1) * stride + (side - 1) * gap + 1 - length)
        pads.append((total // 2, total - total // 2))
    return [*pads[1], *pads[0]]


def _padded(layer: Any, x: torch.Tensor, kernel: Any) -> tuple[torch.Tensor, tuple[int, int]]:
    """The input as the convolution wants it, and the (height, width) padding that the convolution adds itself."""
    if layer.padding == "valid":
        return x, (0, 0)
    left, right, top, bottom = same_pads(x.shape[2:], kernel, layer.strides, layer.dilation_rate)
    if (left, top) != (right, bottom):
        return functional.pad(x, (left, right, top, bottom)), (0, 0)
    return x, (top, left)


def _laid_out(kernel: torch.Tensor, *order: int) -> torch.Tensor:
    """A view of a Keras kernel in torch's order, over memory that torch's convolutions read without a copy."""
    back = [order.index(axis) for axis in range(4)]
    kernel.data = kernel.data.permute(*order).contiguous(memory_format=torch.channels_last).permute(*back)
    return kernel


def _convolution(layer: layers.Conv2D, scale: float = 1.0, offset: float = 0.0) -> Function:
    """A Conv2D, before its activation, of `scale * x + offset`."""
    kernel = _laid_out(_value(layer.kernel), 3, 2, 0, 1)
    bias = _value(layer.bias) if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, padding = _padded(layer, x, layer.kernel_size)
        weight, shift = kernel.permute(3, 2, 0, 1), bias
        if offset:
            constant = offset * weight.sum((1, 2, 3))
            shift = constant if bias is None else bias + constant
        weight = weight * scale if scale != 1 else weight
        return functional.conv2d(x, weight, shift, layer.strides, padding, layer.dilation_rate, layer.groups)

    return run


def can_rescale(layer: layers.Conv2D, rescaling: layers.Rescaling) -> bool:
    """Whether a Conv2D can do a Rescaling's work: zeros around its input would have to be rescaled with an offset."""
    return entry_of(layer) is not None and (not rescaling.offset or layer.padding == "valid")


def rescaled_convolution(layer: layers.Conv2D, rescaling: layers.Rescaling) -> Function | None:
    """A Conv2D that does the work of the scalar Rescaling before it."""
    scale, offset = float(rescaling.scale), float(rescaling.offset)
    return _activated(layer, _convolution(layer, scale, offset), dimension=1)


def _depthwise(layer: Any, use: Use) -> Function:
    name = "kernel" if hasattr(layer, "kernel") else "depthwise_kernel"
    kernel = _laid_out(_value(getattr(layer, name)), 2, 3, 0, 1)
    bias = _value(layer.bias) if layer.use_bias and isinstance(layer, layers.DepthwiseConv2D) else None
    height, width, inputs, multiplier = kernel.shape

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, padding = _padded(layer, x, (height, width))
        weight = kernel.permute(2, 3, 0, 1).reshape(inputs * multiplier, 1, height, width)
        return functional.conv2d(x, weight, bias, layer.strides, padding, layer.dilation_rate, inputs)

    return run


def _separable(layer: layers.SeparableConv2D, use: Use) -> Function:
    depthwise = _depthwise(layer, use)
    kernel = _laid_out(_value(layer.pointwise_kernel), 3, 2, 0, 1)
    bias = _value(layer.bias) if layer.use_bias else None
    return lambda x, training: functional.conv2d(depthwise(x, training=training), kernel.permute(3, 2, 0, 1), bias)


def _max_pool(layer: layers.MaxPooling2D, use: Use) -> Function:
    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        if layer.padding == "same":
            pads = same_pads(x.shape[2:], layer.pool_size, layer.strides)
            x = functional.pad(x, pads, value=-math.inf) if any(pads) else x
        return functional.max_pool2d(x, layer.pool_size, layer.strides)

    return run


def _average_pool(layer: layers.AveragePooling2D, use: Use) -> Function | None:
    top = left = 0
    if layer.padding == "same":
        lengths = use.shapes[0][1:3]
        if None in lengths:
            return None
        left, right, top, bottom = same_pads(lengths, layer.pool_size, layer.strides)
        if (left, top) != (right, bottom):
            return None
    return lambda x, training: functional.avg_pool2d(
        x, layer.pool_size, layer.strides, (top, left), count_include_pad=False
    )


def _zero_padding(layer: layers.ZeroPadding2D, use: Use) -> Function:
    (top, bottom), (left, right) = layer.padding
    return lambda x, training: functional.pad(x, (left, right, top, bottom))


# --- normalisation

# Of so many values the biased and the unbiased variance differ by less than a thousandth.
_MANY = 1000


def _batch_norm(layer: layers.BatchNormalization, use: Use) -> Function | None:
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    if use.dimension(axis) != 1:
        return None
    mean, variance = _value(layer.moving_mean), _value(layer.moving_variance)
    gamma = _value(layer.gamma) if layer.scale else None
    beta = _value(layer.beta) if layer.center else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        training = training and layer.trainable
        values = x.numel() // x.shape[1] if training else _MANY
        before = variance.clone() if values < _MANY else variance
        x = functional.batch_norm(x, mean, variance, gamma, beta, training, 1 - layer.momentum, layer.epsilon)
        if values < _MANY:
            # torch has added the unbiased variance to the moving one, Keras adds the biased one.
            variance.data.lerp_(before * layer.momentum, 1 / values)
        return x

    return run


def _layer_norm(layer: layers.LayerNormalization, use: Use) -> Function | None:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if layer.rms_scaling or [axis % len(use.shapes[0]) for axis in axes] != [len(use.shapes[0]) - 1]:
        return None
    gamma = _value(layer.gamma) if layer.scale else None
    beta = _value(layer.beta) if layer.center else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1) if use.nchw else x
        x = functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.epsilon)
        return x.permute(0, 3, 1, 2) if use.nchw else x

    return run


def _unit_norm(layer: layers.UnitNormalization, use: Use) -> Function | None:
    if not isinstance(layer.axis, int):
        return None
    dimension = use.dimension(layer.axis)
    # Keras bounds the squared norm by 1e-12 from below.
    return lambda x, training: x / torch.linalg.vector_norm(x, dim=dimension, keepdim=True).clamp(min=1e-6)


def _rescaling(layer: layers.Rescaling, use: Use) -> Function | None:
    if not scalar_rescaling(layer):
        return None
    scale, offset = float(layer.scale), float(layer.offset)
    return lambda x, training: x * scale + offset if offset else x * scale


def scalar_rescaling(layer: keras.Layer) -> bool:
    """Whether it is a Rescaling with one scale and one offset for all channels."""
    return type(layer) is layers.Rescaling and all(
        isinstance(value, int | float) for value in (layer.scale, layer.offset)
    )


# --- dense, merging, shapes


def _dense(layer: layers.Dense, use: Use) -> Function:
    kernel, bias = _value(layer.kernel), _value(layer.bias) if layer.use_bias else None
    if use.nchw:
        return lambda x, training: functional.conv2d(x, kernel.t()[:, :, None, None], bias)
    return lambda x, training: functional.linear(x, kernel.t(), bias)


def flattened_dense(layer: layers.Dense, shape: tuple[int, int, int]) -> Function | None:
    """A Dense on flattened [N, C*H*W], where Keras flattens H, W, C; shape: (H, W, C)."""
    kernel, bias = _value(layer.kernel), _value(layer.bias) if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        weight = kernel.view(*shape, -1).permute(3, 2, 0, 1).flatten(1)  # [units, C*H*W]
        return functional.linear(x, weight, bias)

    return _activated(layer, run, dimension=-1)


def _merge(operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Builder:
    def build(layer: Any, use: Use) -> Function | None:
        if len({len(shape) for shape in use.shapes}) > 1:
            return None
        return lambda *x, training: functools.reduce(operation, x)

    return build


def _concatenate(layer: layers.Concatenate, use: Use) -> Function:
    dimension = use.dimension(layer.axis)
    return lambda *x, training: torch.cat(x, dimension)


def _dropout(layer: layers.Dropout, use: Use) -> Function | None:
    if layer.noise_shape is None:
        return lambda x, training: functional.dropout(x, layer.rate, training)
    if tuple(layer.noise_shape) != (None, 1, 1, 1):
        return None
    # Stochastic depth (Huang et al. 2016): a picture loses all or nothing.
    # Not asked for its length outside of training, which an exporter would take for a constant.
    return lambda x, training: x * functional.dropout(x.new_ones(len(x), 1, 1, 1), layer.rate) if training else x


def _global_average(layer: layers.GlobalAveragePooling2D, use: Use) -> Function:
    return lambda x, training: x.mean((2, 3), keepdim=layer.keepdims)


def _global_max(layer: layers.GlobalMaxPooling2D, use: Use) -> Function:
    return lambda x, training: x.amax((2, 3), keepdim=layer.keepdims)


def _moved(layer: Any, use: Use) -> None:
    """Layers that only move values: the interpreter keeps track of where they lie."""


def _leaky_relu(layer: layers.LeakyReLU, use: Use) -> Function:
    return lambda x, training: functional.leaky_relu(x, float(layer.negative_slope))


def _entry(build: Builder, settings: str = "", *, any_order: bool = False) -> Entry:
    return Entry(build, frozenset(settings.split()), any_order)


_CONV = "kernel_size strides padding dilation_rate use_bias activation"
_POOL = "pool_size strides padding"

LAYERS: dict[type[keras.Layer], Entry] = {
    layers.Rescaling: _entry(_rescaling, "scale offset", any_order=True),
    layers.Conv2D: _entry(_with_activation(lambda layer, use: _convolution(layer)), f"filters groups {_CONV}"),
    layers.DepthwiseConv2D: _entry(_with_activation(_depthwise), f"depth_multiplier {_CONV}"),
    layers.SeparableConv2D: _entry(_with_activation(_separable), f"filters depth_multiplier {_CONV}"),
    layers.BatchNormalization: _entry(_batch_norm, "axis momentum epsilon center scale"),
    layers.LayerNormalization: _entry(_layer_norm, "axis epsilon center scale rms_scaling", any_order=True),
    layers.UnitNormalization: _entry(_unit_norm, "axis"),
    layers.ReLU: _entry(_relu, "max_value negative_slope threshold", any_order=True),
    layers.LeakyReLU: _entry(_leaky_relu, "negative_slope", any_order=True),
    layers.Activation: _entry(_activation, "activation", any_order=True),
    layers.Softmax: _entry(_softmax, "axis"),
    layers.MaxPooling2D: _entry(_max_pool, _POOL),
    layers.AveragePooling2D: _entry(_average_pool, _POOL),
    layers.GlobalAveragePooling2D: _entry(_global_average, "keepdims"),
    layers.GlobalMaxPooling2D: _entry(_global_max, "keepdims"),
    layers.ZeroPadding2D: _entry(_zero_padding, "padding"),
    layers.Add: _entry(_merge(torch.add), any_order=True),
    layers.Multiply: _entry(_merge(torch.mul), any_order=True),
    layers.Subtract: _entry(_merge(torch.sub), any_order=True),
    layers.Maximum: _entry(_merge(torch.maximum), any_order=True),
    layers.Concatenate: _entry(_concatenate, "axis"),
    layers.Flatten: _entry(_moved),
    layers.Reshape: _entry(_moved, "target_shape"),
    layers.Permute: _entry(_moved, "dims"),
    layers.Dropout: _entry(_dropout, "rate noise_shape", any_order=True),
    layers.Dense: _entry(_with_activation(_dense), "units use_bias activation", any_order=True),
}
