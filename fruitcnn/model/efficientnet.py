"""EfficientNet-Lite (Tan and Le 2019, without squeeze-and-excitation and with ReLU6), as plain Keras layers.

One generator for all sizes: a width and a depth coefficient scale the smallest. The ImageNet weights of each size come
from a package of their own; the layers' order is theirs.
"""

import math

import keras
import torch
from keras import layers

from fruitcnn.model.classifier import classifier

# Kernel side, stride of the first, expansion, filters, repeats: the seven stages of inverted residual blocks.
STAGES = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
]
# What ImageNet pixels were brought to when the weights were made: (pixel - 127) / 128.
_MEAN, _SCALE = 127.0, 128.0


def efficientnet_lite(
    pixels: keras.KerasTensor, classes: int, dropout: float, *, width: float, depth: float, blocks: float = math.inf
) -> keras.KerasTensor:
    """From pixels [N, S, S, 3] in 0..255 to logits [N, C].

    width, depth: factors of the channels and of the blocks in a stage; 1.0 and 1.0 have 3.4 M parameters. Neither
    changes stem and head, nor how often the first and the last stage repeat their block. blocks: how many there are, if
    not all; then the widened and filtered channels of the last one are the features, in place of the head's.
    """
    x = layers.Rescaling(1 / _SCALE, -_MEAN / _SCALE, name="rescaling")(pixels)
    x = _conv(x, 32, 3, strides=2, name="stem")
    number = 0
    for stage, (size, stride, expansion, filters, repeats) in enumerate(STAGES):
        fixed = stage in (0, len(STAGES) - 1)
        for repeat in range(repeats if fixed else math.ceil(depth * repeats)):
            number += 1
            strides = stride if repeat == 0 else 1
            if number == blocks:
                x = _filtered(x, size, strides=strides, expansion=expansion, name=f"block{number}")
                return classifier(x, classes, dropout)
            x = _block(x, _scaled(filters, width), size, strides=strides, expansion=expansion, name=f"block{number}")
    x = _conv(x, 1280, 1, name="head")  # [N, S / 32, S / 32, 1280]
    return classifier(x, classes, dropout)


def _scaled(filters: int, width: float) -> int:
    """The channels of a wider stage: the nearest multiple of eight, but never less than nine tenths of what is due."""
    due = filters * width
    rounded = max(8, int(due + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * due else rounded + 8


def _block(
    x: keras.KerasTensor, filters: int, size: int, *, strides: int, expansion: int, name: str
) -> keras.KerasTensor:
    """An inverted residual block (Sandler et al. 2018): widen, filter each channel, narrow without activation."""
    shortcut = x
    x = _filtered(x, size, strides=strides, expansion=expansion, name=name)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, name=f"{name}_project")
    if strides > 1 or shortcut.shape[-1] != filters:
        return x
    return layers.Add(name=f"{name}_add")([x, shortcut])


def _filtered(x: keras.KerasTensor, size: int, *, strides: int, expansion: int, name: str) -> keras.KerasTensor:
    """The first two parts of a block, whose channels are `expansion` times as many."""
    if expansion > 1:
        x = _conv(x, x.shape[-1] * expansion, 1, name=f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(size, strides, "same", use_bias=False, name=f"{name}_depthwise_conv")
    return _relu6(_norm(depthwise(x), name=f"{name}_depthwise"), name=f"{name}_depthwise")


def _conv(x: keras.KerasTensor, filters: int, size: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    convolution = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=f"{name}_conv")
    return _relu6(_norm(convolution(x), name=name), name=name)


def _norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def _relu6(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def imagenet_weights(layer: keras.Layer, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """A Keras layer's weights, in Keras' order and shapes, out of the package's tensors by name."""
    block, _, rest = layer.name.partition("_")
    kind = rest or block
    if block in ("stem", "head"):
        number = ""
        norm = {"stem": "_bn0", "head": "_bn1"}[block]
        kernel = f"_conv_{block}"
    else:
        number = f"_blocks.{int(block.removeprefix('block')) - 1}."
        role = kind.rpartition("_")[0]
        norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[role]
        kernel = f"_{role}_conv"
    if layer.name.endswith("_bn"):
        names = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{number}{norm}.{name}"] for name in names]
    # Kernels: out, in, height, width to height, width, in, out; depthwise ones have their channels first.
    order = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [tensors[f"{number}{kernel}.weight"].permute(order)]
