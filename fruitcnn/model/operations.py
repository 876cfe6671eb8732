"""What each kind of Keras layer means in torch: the one table of layers, with the settings that each entry understands.

Tensors of rank 4 are NCHW here (NHWC in Keras), all others are as in Keras. A layer that is not in the table, or has a
setting that its entry does not name, is not interpreted: `interpreter.py` calls the Keras layer itself.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
import torch
from keras import layers
from torch.nn import functional

from fruitcnn.model.activations import activated, activation_layer, leaky_relu, relu, softmax, with_activation
from fruitcnn.model.convolutions import (
    average_pool,
    convolution,
    depthwise,
    global_average,
    global_max,
    max_pool,
    separable,
    zero_padding,
)
from fruitcnn.model.joint_batch_norm import joint_batch_norm
from fruitcnn.model.layout import Builder, Function, InputLayout, parameter_of
from fruitcnn.ranks import ranks


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


def can_rescale(layer: layers.Conv2D, rescaling: layers.Rescaling) -> bool:
    """Whether a Conv2D can do a Rescaling's work: zeros around its input would have to be rescaled with an offset."""
    return entry_of(layer) is not None and (not rescaling.offset or layer.padding == "valid")


# --- normalisation

# Of so many values the biased and the unbiased variance differ by less than a thousandth.
_MANY = 1000


def _batch_norm(layer: layers.BatchNormalization, layout: InputLayout) -> Function | None:
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    if layout.dimension(axis) != 1:
        return None
    mean, variance = parameter_of(layer.moving_mean), parameter_of(layer.moving_variance)
    gamma = parameter_of(layer.gamma) if layer.scale else None
    beta = parameter_of(layer.beta) if layer.center else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        training = training and layer.trainable
        if training and ranks().count > 1:
            x, *now = joint_batch_norm(x, gamma, beta, layer.epsilon, unbiased_from=_MANY)
            for moving, value in zip((mean, variance), now, strict=True):
                moving.data.lerp_(value, 1 - layer.momentum)
            return x
        values = x.numel() // x.shape[1] if training else _MANY
        before = variance.clone() if values < _MANY else variance
        x = functional.batch_norm(x, mean, variance, gamma, beta, training, 1 - layer.momentum, layer.epsilon)
        if values < _MANY:
            # torch has added the unbiased variance to the moving one, Keras adds the biased one.
            variance.data.lerp_(before * layer.momentum, 1 / values)
        return x

    return run


def _layer_norm(layer: layers.LayerNormalization, layout: InputLayout) -> Function | None:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if layer.rms_scaling or [axis % len(layout.shapes[0]) for axis in axes] != [len(layout.shapes[0]) - 1]:
        return None
    gamma = parameter_of(layer.gamma) if layer.scale else None
    beta = parameter_of(layer.beta) if layer.center else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1) if layout.nchw else x
        x = functional.layer_norm(x, x.shape[-1:], gamma, beta, layer.epsilon)
        return x.permute(0, 3, 1, 2) if layout.nchw else x

    return run


def _unit_norm(layer: layers.UnitNormalization, layout: InputLayout) -> Function | None:
    if not isinstance(layer.axis, int):
        return None
    dimension = layout.dimension(layer.axis)
    # Keras bounds the squared norm by 1e-12 from below.
    return lambda x, training: x / torch.linalg.vector_norm(x, dim=dimension, keepdim=True).clamp(min=1e-6)


def _rescaling(layer: layers.Rescaling, layout: InputLayout) -> Function | None:
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


def _dense(layer: layers.Dense, layout: InputLayout) -> Function:
    kernel, bias = parameter_of(layer.kernel), parameter_of(layer.bias) if layer.use_bias else None
    if layout.nchw:
        return lambda x, training: functional.conv2d(x, kernel.t()[:, :, None, None], bias)
    return lambda x, training: functional.linear(x, kernel.t(), bias)


def flattened_dense(layer: layers.Dense, shape: tuple[int, int, int]) -> Function | None:
    """A Dense on flattened [N, C*H*W], where Keras flattens H, W, C; shape: (H, W, C)."""
    kernel, bias = parameter_of(layer.kernel), parameter_of(layer.bias) if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        weight = kernel.view(*shape, -1).permute(3, 2, 0, 1).flatten(1)  # [units, C*H*W]
        return functional.linear(x, weight, bias)

    return activated(layer, run, dimension=-1)


def _merge(operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Builder:
    def build(layer: Any, layout: InputLayout) -> Function | None:
        if len({len(shape) for shape in layout.shapes}) > 1:
            return None
        return lambda *x, training: functools.reduce(operation, x)

    return build


def _concatenate(layer: layers.Concatenate, layout: InputLayout) -> Function:
    dimension = layout.dimension(layer.axis)
    return lambda *x, training: torch.cat(x, dimension)


def _dropout(layer: layers.Dropout, layout: InputLayout) -> Function | None:
    if layer.noise_shape is None:
        return lambda x, training: functional.dropout(x, layer.rate, training)
    if tuple(layer.noise_shape) != (None, 1, 1, 1):
        return None
    # Stochastic depth (Huang et al. 2016): a picture loses all or nothing.
    # Not asked for its length outside of training, which an exporter would take for a constant.
    return lambda x, training: x * functional.dropout(x.new_ones(len(x), 1, 1, 1), layer.rate) if training else x


def _rearranging(layer: Any, layout: InputLayout) -> None:
    """Layers that only rearrange values: the interpreter keeps track of where they lie."""


def _entry(build: Builder, settings: str = "", *, any_order: bool = False) -> Entry:
    return Entry(build, frozenset(settings.split()), any_order)


_CONV = "kernel_size strides padding dilation_rate use_bias activation"
_POOL = "pool_size strides padding"

LAYERS: dict[type[keras.Layer], Entry] = {
    layers.Rescaling: _entry(_rescaling, "scale offset", any_order=True),
    layers.Conv2D: _entry(with_activation(lambda layer, layout: convolution(layer)), f"filters groups {_CONV}"),
    layers.DepthwiseConv2D: _entry(with_activation(depthwise), f"depth_multiplier {_CONV}"),
    layers.SeparableConv2D: _entry(with_activation(separable), f"filters depth_multiplier {_CONV}"),
    layers.BatchNormalization: _entry(_batch_norm, "axis momentum epsilon center scale"),
    layers.LayerNormalization: _entry(_layer_norm, "axis epsilon center scale rms_scaling", any_order=True),
    layers.UnitNormalization: _entry(_unit_norm, "axis"),
    layers.ReLU: _entry(relu, "max_value negative_slope threshold", any_order=True),
    layers.LeakyReLU: _entry(leaky_relu, "negative_slope", any_order=True),
    layers.Activation: _entry(activation_layer, "activation", any_order=True),
    layers.Softmax: _entry(softmax, "axis"),
    layers.MaxPooling2D: _entry(max_pool, _POOL),
    layers.AveragePooling2D: _entry(average_pool, _POOL),
    layers.GlobalAveragePooling2D: _entry(global_average, "keepdims"),
    layers.GlobalMaxPooling2D: _entry(global_max, "keepdims"),
    layers.ZeroPadding2D: _entry(zero_padding, "padding"),
    layers.Add: _entry(_merge(torch.add), any_order=True),
    layers.Multiply: _entry(_merge(torch.mul), any_order=True),
    layers.Subtract: _entry(_merge(torch.sub), any_order=True),
    layers.Maximum: _entry(_merge(torch.maximum), any_order=True),
    layers.Concatenate: _entry(_concatenate, "axis"),
    layers.Flatten: _entry(_rearranging),
    layers.Reshape: _entry(_rearranging, "target_shape"),
    layers.Permute: _entry(_rearranging, "dims"),
    layers.Dropout: _entry(_dropout, "rate noise_shape", any_order=True),
    layers.Dense: _entry(with_activation(_dense), "units use_bias activation", any_order=True),
}
