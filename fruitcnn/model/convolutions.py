"""Convolutions and pooling in torch, with Keras' padding and Keras' kernels."""

import math
from typing import Any

import torch
from keras import layers
from torch.nn import functional

from fruitcnn.model.activations import activated
from fruitcnn.model.layout import Function, InputLayout, parameter_of


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


def convolution(layer: layers.Conv2D, scale: float = 1.0, offset: float = 0.0) -> Function:
    """A Conv2D, before its activation, of `scale * x + offset`."""
    kernel = _laid_out(parameter_of(layer.kernel), 3, 2, 0, 1)
    bias = parameter_of(layer.bias) if layer.use_bias else None

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, padding = _padded(layer, x, layer.kernel_size)
        weight, shift = kernel.permute(3, 2, 0, 1), bias
        if offset:
            constant = offset * weight.sum((1, 2, 3))
            shift = constant if bias is None else bias + constant
        weight = weight * scale if scale != 1 else weight
        return functional.conv2d(x, weight, shift, layer.strides, padding, layer.dilation_rate, layer.groups)

    return run


def rescaled_convolution(layer: layers.Conv2D, rescaling: layers.Rescaling) -> Function | None:
    """A Conv2D that does the work of the scalar Rescaling before it."""
    scale, offset = float(rescaling.scale), float(rescaling.offset)
    return activated(layer, convolution(layer, scale, offset), dimension=1)


def depthwise(layer: Any, layout: InputLayout) -> Function:
    """A DepthwiseConv2D, or the first half of a SeparableConv2D, before its activation."""
    name = "kernel" if hasattr(layer, "kernel") else "depthwise_kernel"
    kernel = _laid_out(parameter_of(getattr(layer, name)), 2, 3, 0, 1)
    bias = parameter_of(layer.bias) if layer.use_bias and isinstance(layer, layers.DepthwiseConv2D) else None
    height, width, inputs, multiplier = kernel.shape

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, padding = _padded(layer, x, (height, width))
        weight = kernel.permute(2, 3, 0, 1).reshape(inputs * multiplier, 1, height, width)
        return functional.conv2d(x, weight, bias, layer.strides, padding, layer.dilation_rate, inputs)

    return run


def separable(layer: layers.SeparableConv2D, layout: InputLayout) -> Function:
    """A SeparableConv2D, before its activation."""
    each = depthwise(layer, layout)
    kernel = _laid_out(parameter_of(layer.pointwise_kernel), 3, 2, 0, 1)
    bias = parameter_of(layer.bias) if layer.use_bias else None
    return lambda x, training: functional.conv2d(each(x, training=training), kernel.permute(3, 2, 0, 1), bias)


def max_pool(layer: layers.MaxPooling2D, layout: InputLayout) -> Function:
    """A MaxPooling2D."""

    def run(x: torch.Tensor, training: bool) -> torch.Tensor:
        if layer.padding == "same":
            pads = same_pads(x.shape[2:], layer.pool_size, layer.strides)
            x = functional.pad(x, pads, value=-math.inf) if any(pads) else x
        return functional.max_pool2d(x, layer.pool_size, layer.strides)

    return run


def average_pool(layer: layers.AveragePooling2D, layout: InputLayout) -> Function | None:
    """An AveragePooling2D, where what `same` adds is the same on both sides."""
    top = left = 0
    if layer.padding == "same":
        lengths = layout.shapes[0][1:3]
        if None in lengths:
            return None
        left, right, top, bottom = same_pads(lengths, layer.pool_size, layer.strides)
        if (left, top) != (right, bottom):
            return None
    return lambda x, training: functional.avg_pool2d(
        x, layer.pool_size, layer.strides, (top, left), count_include_pad=False
    )


def zero_padding(layer: layers.ZeroPadding2D, layout: InputLayout) -> Function:
    """A ZeroPadding2D."""
    (top, bottom), (left, right) = layer.padding
    return lambda x, training: functional.pad(x, (left, right, top, bottom))


def global_average(layer: layers.GlobalAveragePooling2D, layout: InputLayout) -> Function:
    """A GlobalAveragePooling2D."""
    return lambda x, training: x.mean((2, 3), keepdim=layer.keepdims)


def global_max(layer: layers.GlobalMaxPooling2D, layout: InputLayout) -> Function:
    """A GlobalMaxPooling2D."""
    return lambda x, training: x.amax((2, 3), keepdim=layer.keepdims)
