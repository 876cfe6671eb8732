"""Keras models by the name of their architecture.

Every model takes raw RGB pixels [N, S, S, 3] (0..255) and gives logits [N, C]. Every layer has a name of its own,
because Keras takes the names of unnamed ones from a counter of the process, and weights saved by one process would not
fit the next.
"""

import os
import sys
from collections.abc import Callable

import keras
from keras import layers

from fruitcnn.architectures import APPLICATIONS, ARCHITECTURES, choices, resolve
from fruitcnn.errors import ConfigError
from fruitcnn.model.classifier import classifier
from fruitcnn.model.keras_graph import graph_of, operation_of
from fruitcnn.model.pretrained import application, load_start

# A multiple of this suits every network of ours.
_SURE = 32


def build_model(architecture: str, *, classes: int, size: int, dropout: float, weights: str = "none") -> keras.Model:
    """A channels_last model from pixels to logits.

    architecture: one of `fruitcnn.architectures`; `keras.applications.<Name>`; or `module:function`, which is called
    with `classes` and `size` and returns a functional keras.Model; classes: C; size: S in pixels; dropout: the rate
    before the last Dense layer of all but the last kind; weights: what the model starts from (see
    `fruitcnn.model.pretrained`). Other initial weights come from Keras' global generator
    (`keras.utils.set_random_seed`). Raises ConfigError and UsageError.
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
        raise ConfigError("no such network", value=architecture, remedy=f"use {choices()}")
    row, size = ARCHITECTURES[architecture], pixels.shape[1]
    build = resolve(row.builder)
    try:
        return build(pixels, classes, dropout, **row.settings)
    except ValueError as error:
        # Keras': the paths through a residual block differ in size, or nothing is left to pool.
        problem = f"can't be built for pictures of {size} px ({str(error).splitlines()[0]})"
        remedy = f"set data.size={(size // _SURE + 1) * _SURE}"
        raise ConfigError(problem, value=architecture, remedy=remedy) from error


def _foreign(architecture: str, *, classes: int, size: int) -> object:
    # As for `python -m`: a file in the working folder can be named, too.
    sys.path.append(os.getcwd())  # noqa: PTH109 (a string is wanted)
    try:
        build = resolve(architecture)
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
        model = graph_of(model)
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
    last = operation_of(model.outputs[0])
    return keras.activations.softmax if isinstance(last, layers.Softmax) else getattr(last, "activation", None)
