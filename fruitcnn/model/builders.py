"""Keras builders by name.

Every model takes raw RGB pixels [N, S, S, 3] (0..255) and gives probabilities [N, C]; its last two layers are `logits`
(Dense) and `probabilities` (Softmax). Every layer has a name of its own, because Keras takes the names of unnamed ones
from a counter of the process, and weights saved by one process would not fit the next.
"""

from collections.abc import Callable

import keras
from keras import layers


def build_model(architecture: str, *, classes: int, size: int, dropout: float) -> keras.Model:
    """A freshly initialised channels_last model, from a name in ARCHITECTURES.

    classes: C; size: S in pixels; dropout: the rate before the last Dense layer.
    The initial weights come from Keras' global generator (`keras.utils.set_random_seed`).
    """
    inputs = keras.Input((size, size, 3), name="image")
    scaled = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    logits = ARCHITECTURES[architecture](scaled, classes, dropout)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(logits), name=architecture)


def simple_cnn(x: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """The original system's network: six 3x3 convolutions, three poolings, two Dense layers with L2 0.01."""

    def kernel(layer: type[layers.Layer], units: int, *args: int, name: str, **kwargs: object) -> layers.Layer:
        # A fresh initialiser each: Keras seeds one when it is made, so that a shared one would repeat its numbers.
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        return layer(units, *args, kernel_initializer=initializer, name=name, **kwargs)

    for stage, (filters, convolutions) in enumerate([(32, 1), (64, 2), (128, 3)], start=1):
        for number in range(1, convolutions + 1):
            name = f"stage{stage}_conv{number}"
            x = kernel(layers.Conv2D, filters, 3, padding="same", name=name)(x)
            x = layers.ReLU(name=f"stage{stage}_relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = kernel(layers.Dense, 512, kernel_regularizer=keras.regularizers.L2(0.01), name="hidden")(x)
    x = layers.ReLU(name="hidden_relu")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return kernel(layers.Dense, classes, kernel_regularizer=keras.regularizers.L2(0.01), name="logits")(x)


def fruit_net(x: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Our own from-scratch network: a small ResNet (He et al. 2015) with ResNet-D shortcuts (He et al. 2018).

    A stride-2 stem and four residual stages of 32, 64, 128 and 256 channels: 1.2 M parameters.
    """
    x = _conv(x, 32, 3, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate([32, 64, 128, 256], start=1):
        x = _residual(x, filters, strides=1 if stage == 1 else 2, name=f"stage{stage}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


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


ARCHITECTURES: dict[str, Callable[[keras.KerasTensor, int, float], keras.KerasTensor]] = {
    "simple_cnn": simple_cnn,
    "fruit_net": fruit_net,
}
