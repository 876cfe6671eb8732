"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation and with ReLU6), as plain Keras layers.

Its ImageNet weights come from a package of their own (see `fruitcnn.model.pretrained`); the layers' order is theirs.
"""

import keras
from keras import layers

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


def efficientnet_lite0(pixels: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """From pixels [N, S, S, 3] in 0..255 to logits [N, C]: 3.4 M parameters, made for S = 224."""
    x = layers.Rescaling(1 / _SCALE, -_MEAN / _SCALE, name="rescaling")(pixels)
    x = _conv(x, 32, 3, strides=2, name="stem")
    number = 0
    for size, stride, expansion, filters, repeats in STAGES:
        for repeat in range(repeats):
            number += 1
            strides = stride if repeat == 0 else 1
            x = _block(x, filters, size, strides=strides, expansion=expansion, name=f"block{number}")
    x = _conv(x, 1280, 1, name="head")  # [N, S / 32, S / 32, 1280]
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def _block(
    x: keras.KerasTensor, filters: int, size: int, *, strides: int, expansion: int, name: str
) -> keras.KerasTensor:
    """An inverted residual block (Sandler et al. 2018): widen, filter each channel, narrow without activation."""
    shortcut = x
    if expansion > 1:
        x = _conv(x, shortcut.shape[-1] * expansion, 1, name=f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(size, strides, "same", use_bias=False, name=f"{name}_depthwise_conv")
    x = _relu6(_norm(depthwise(x), name=f"{name}_depthwise"), name=f"{name}_depthwise")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, name=f"{name}_project")
    if strides > 1 or shortcut.shape[-1] != filters:
        return x
    return layers.Add(name=f"{name}_add")([x, shortcut])


def _conv(x: keras.KerasTensor, filters: int, size: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    convolution = layers.Conv2D(filters, size, strides, "same", use_bias=False, name=f"{name}_conv")
    return _relu6(_norm(convolution(x), name=name), name=name)


def _norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(x)


def _relu6(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
