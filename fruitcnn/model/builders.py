"""Keras builders by name.

Every model takes raw RGB pixels [N, S, S, 3] (0..255) and gives logits [N, C]. Every layer has a name of its own,
because Keras takes the names of unnamed ones from a counter of the process, and weights saved by one process would not
fit the next.
"""

import importlib
import os
import sys
from collections.abc import Callable

import keras
from keras import layers

from fruitcnn.errors import ConfigError
from fruitcnn.model.efficientnet import efficientnet_lite0
from fruitcnn.model.pretrained import APPLICATIONS, application, load_start


def build_model(architecture: str, *, classes: int, size: int, dropout: float, weights: str = "none") -> keras.Model:
    """A channels_last model from pixels to logits.

    architecture: a name in ARCHITECTURES; `keras.applications.<Name>`; or `module:function`, which is called with
    `classes` and `size` and returns a functional keras.Model; classes: C; size: S in pixels; dropout: the rate before
    the last Dense layer of all but the last kind; weights: what the model starts from (see
    `fruitcnn.model.pretrained`). Other initial weights come from Keras' global generator
    (`keras.utils.set_random_seed`). Raises ConfigError.
    """
    if ":" in architecture:
        foreign = _foreign(architecture, classes=classes, size=size)
        model = _checked(foreign, architecture, classes=classes, size=size)
    else:
        pixels = keras.Input((size, size, 3), name="image")
        model = keras.Model(pixels, _logits(architecture, pixels, classes, dropout, weights), name=_name(architecture))
    load_start(model, weights, architecture)
    return model


def _name(architecture: str) -> str:
    return architecture.removeprefix(APPLICATIONS)


def _logits(
    architecture: str, pixels: keras.KerasTensor, classes: int, dropout: float, weights: str
) -> keras.KerasTensor:
    if architecture.startswith(APPLICATIONS):
        return classifier(application(_name(architecture), pixels, weights=weights), classes, dropout)
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        remedy = f"use one of {known}, keras.applications.<Name>, or module:function"
        raise ConfigError("no such network", value=architecture, remedy=remedy)
    return ARCHITECTURES[architecture](pixels, classes, dropout)


def _foreign(architecture: str, *, classes: int, size: int) -> object:
    module, _, function = architecture.partition(":")
    # As for `python -m`: a file in the working folder can be named, too.
    sys.path.append(os.getcwd())  # noqa: PTH109 (a string is wanted)
    try:
        build = getattr(importlib.import_module(module), function)
    except Exception as error:
        # A module may raise anything while it is imported.
        remedy = "name an importable module and a function in it, as mypackage.networks:build"
        raise ConfigError(f"can't be found ({error})", value=architecture, remedy=remedy) from error
    finally:
        sys.path.pop()
    try:
        return build(classes=classes, size=size)
    except Exception as error:
        problem = f"fails when called with classes={classes} and size={size} ({type(error).__name__}: {error})"
        raise ConfigError(problem, value=architecture, remedy="mend the function") from error


def _checked(model: object, architecture: str, *, classes: int, size: int) -> keras.Model:
    """The model, where it is one that can be trained, resumed and exported."""
    if isinstance(model, keras.Sequential) and model.built:
        model = model._functional
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        problem = f"returned {type(model).__name__}, not a functional keras.Model"
    elif [tuple(t.shape) for t in model.inputs + model.outputs] != [(None, size, size, 3), (None, classes)]:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs + model.outputs)
        problem = f"has inputs and outputs {shapes}, not (None, {size}, {size}, 3) and (None, {classes})"
    elif any(variable.constraint for variable in model.trainable_variables):
        problem = "has a weight with a constraint, which would not be kept"
    elif (last := _last_activation(model)) not in (None, keras.activations.linear):
        problem = f"ends in {getattr(last, '__name__', last)}, not in logits"
    else:
        return model
    raise ConfigError(problem, value=architecture, remedy="return a model from raw pixels to logits")


def _last_activation(model: keras.Model) -> Callable[..., object] | None:
    last = model.outputs[0]._keras_history.operation
    return keras.activations.softmax if isinstance(last, layers.Softmax) else getattr(last, "activation", None)


def simple_cnn(pixels: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """The original system's network: six 3x3 convolutions, three poolings, two Dense layers with L2 0.01."""

    def kernel(layer: type[layers.Layer], units: int, *args: int, name: str, **kwargs: object) -> layers.Layer:
        # A fresh initialiser each: Keras seeds one when it is made, so that a shared one would repeat its numbers.
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        return layer(units, *args, kernel_initializer=initializer, name=name, **kwargs)

    x = layers.Rescaling(1 / 255, name="rescaling")(pixels)
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


def classifier(maps: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Feature maps [N, h, w, D] to logits [N, C]: global average pooling, dropout, Dense."""
    x = layers.GlobalAveragePooling2D(name="pool")(maps)
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
    "efficientnet_lite0": efficientnet_lite0,
}
