"""The Keras model of a graph that `answer_graph` has made, for model.keras."""

import keras
import numpy as np
import onnx

from fruitcnn import checkpoint
from fruitcnn.calibration.familiarity import SHARPNESS, Familiarity
from fruitcnn.calibration.linear_probe import Head, Heads
from fruitcnn.card import ModelCard
from fruitcnn.errors import ModelError
from fruitcnn.features.answer_graph import HEAD, member
from fruitcnn.model import answer_model, build_model
from fruitcnn.model.keras_graph import operation_of


def keras_twin(graph: onnx.ModelProto, card: ModelCard) -> keras.Model:
    """The network of the card's architecture with ImageNet's weights, and the graph's head and familiarity.

    The backbone's weights in the graph have batch norm folded in, so that Keras' own are taken from their package.
    Raises ModelError where the card names no architecture, UsageError where that package is missing.
    """
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    architecture = card.provenance.get("architecture")
    if not isinstance(architecture, str):
        raise ModelError("its card names no architecture", value=checkpoint.ONNX, remedy="train it again")
    size, classes = card.size, len(card.labels)
    model = build_model(architecture, classes=classes, size=size, dropout=0.0, weights="imagenet")
    kernel, bias = tensors[f"{HEAD}/kernel"][:, :, 0, 0].T, tensors[f"{HEAD}/bias"]
    operation_of(model.outputs[0]).set_weights([kernel, bias])
    return answer_model(model, familiarity=_familiarity(tensors), heads=_heads(tensors))


def _heads(tensors: dict[str, np.ndarray]) -> Heads | None:
    """Those that answer together; None where one head answers alone."""
    found = list[Head]()
    while (name := f"{member(len(found) + 1)}/kernel") in tensors:
        found.append(Head(tensors[name].T, tensors[f"{member(len(found) + 1)}/bias"]))
    return Heads(tuple(found)) if found else None


def _familiarity(tensors: dict[str, np.ndarray]) -> Familiarity:
    """The score from its first knot on, which is all that the graph keeps of it."""
    prototypes = (tensors["prototypes/kernel"] / SHARPNESS).astype(np.float32)  # [K, D]
    likeness, energy = (float(tensors[f"{name}/kernel"].sum()) for name in ("likeness", "energy"))
    knots = np.append(-tensors["knots/bias"], tensors["last_knot"]).astype(np.float32)
    return Familiarity(
        prototypes, (likeness * SHARPNESS, energy), tensors["gate/kernel"][0], float(tensors["gate/bias"][0]), knots
    )
