"""Our own network for training from scratch."""

import keras
from keras import layers

from fruitcnn.model.classifier import classifier


def fruit_net(pixels: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Our own from-scratch network: a small ResNet (He et al. 2015) with ResNet-D shortcuts (He et al. 2018).

    A stride-2 stem and four residual stages of 32, 64, 128 and 256 channels: 1.2 M parameters.
    """
    x = layers.Rescaling(1 / 255, name="rescaling")(pixels)
    x = _conv(x, 32, 3, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate([32, 64, 128, 256], start=1):
        x = _residual(x, filters, strides=1 if stage == 1 else 2, name=f"stage{stage}")
    return classifier(x, classes, dropout)


def _conv(x: keras.KerasTensor, filters: int, size: int, *, name: str, strides: int = 1, gamma: str = "ones") -> object:
    convolution = layers.Conv2D(
        filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )
    # Keras' own momentum of 0.99 is too slow for the few dozen steps of an epoch on a small set.
    norm = layers.BatchNormalization(momentum=0.9, gamma_initializer=gamma, name=f"{name}_bn")
    return norm(convolution(x))


def _residual(x: keras.KerasTensor, filters: int, *, strides: int, name: str) -> keras.KerasTensor:
    shortcut = x
    if strides > 1:
        # Average first: a strided 1x1 convolution would look at a quarter of the pixels only.
        shortcut = layers.AveragePooling2D(strides, name=f"{name}_shortcut_pool")(shortcut)
    if x.shape[-1] != filters:
        shortcut = _conv(shortcut, filters, 1, name=f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu1")(_conv(x, filters, 3, strides=strides, name=f"{name}_1"))
    # A zero gamma starts the block as the identity, which steadies the first epochs at a high rate.
    x = _conv(x, filters, 3, gamma="zeros", name=f"{name}_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)
