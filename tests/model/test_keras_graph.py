"""The private names of Keras that fruitcnn reads: each that a newer Keras lacks is named here before a run ends."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fruitcnn.model import keras
from fruitcnn.model.keras_graph import calls_of, graph_of, is_functional, operation_of, own_losses
from tests.conftest import REPOSITORY

MODULE = REPOSITORY / "fruitcnn/model/keras_graph.py"


def network() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(4, 3, activity_regularizer="l2", name="conv")(image)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="flat")(x)))


def node_of(model: keras.Model) -> Any:
    return model._nodes_by_depth[0][0]


def read(name: str) -> Callable[[Any], Any]:
    return lambda owner: getattr(owner, name)


# Each name, the object that has it, and what must be true of it.
PRIVATE: dict[str, tuple[Callable[[keras.Model], Any], Callable[[Any, keras.Model], bool]]] = {
    "KerasTensor._keras_history": (lambda m: m.outputs[0], lambda found, m: found.operation is m.layers[-1]),
    "Sequential._functional": (lambda m: keras.Sequential(m.layers), lambda found, m: len(found.outputs) == 1),
    "Functional._nodes_by_depth": (lambda m: m, lambda found, m: max(found) == 4 and len(found[0]) == 1),
    "Node.operation": (node_of, lambda found, m: found is m.layers[-1]),
    "Node.is_input": (node_of, lambda found, m: found is False),
    "Node.input_tensors": (node_of, lambda found, m: found[0] is m.layers[-2].output),
    "Node.outputs": (node_of, lambda found, m: found[0] is m.outputs[0]),
    "Node.arguments": (node_of, lambda found, m: len(found.args) == 1),
    "SymbolicArguments.args": (lambda m: node_of(m).arguments, lambda found, m: found[0] is m.layers[-2].output),
    "SymbolicArguments.kwargs": (lambda m: node_of(m).arguments, lambda found, m: found == {}),
    "SymbolicArguments.fill_in": (
        lambda m: node_of(m).arguments,
        lambda found, m: found({id(m.layers[-2].output): 3}) == ((3,), {}),
    ),
    "Layer._call_has_training_arg": (lambda m: m.get_layer("dropout"), lambda found, m: found is True),
    "Layer._flatten_layers": (lambda m: m, lambda found, m: set(m.layers) <= set(found())),
    "Layer._losses": (lambda m: m.get_layer("conv"), lambda found, m: isinstance(found, list)),
}


@pytest.mark.parametrize("name", PRIVATE)
def test_keras_has(name: str) -> None:
    owner, holds = PRIVATE[name]
    model = network()
    attribute = name.partition(".")[2]
    assert hasattr(owner(model), attribute), f"Keras {keras.__version__} has no {name} any more"
    assert holds(read(attribute)(owner(model)), model), f"{name} of Keras {keras.__version__} means something else"


def private_reads(file: Path) -> set[str]:
    """Attributes with an underscore before them that a file reads of anything but `self` and `cls`."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Attribute)]
    own = ("self", "cls", "torch", "os")
    return {
        node.attr
        for node in nodes
        if node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in own)
    }


def test_all_private_names_are_in_the_table_and_read_in_one_module() -> None:
    names = {name.partition(".")[2] for name in PRIVATE}
    assert private_reads(MODULE) == {name for name in names if name.startswith("_")}
    others = [file for file in (REPOSITORY / "fruitcnn").rglob("*.py") if file != MODULE]
    assert not [file.name for file in others if private_reads(file) & names or "keras.src" in file.read_text("utf-8")]


def test_calls_come_in_an_order_that_can_be_run() -> None:
    model = network()
    assert [call.operation.name for call in calls_of(model)] == ["conv", "dropout", "flat", "logits"]
    pixels = torch.from_numpy(np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
    values = {id(model.inputs[0]): pixels}
    for call in calls_of(model):
        results = call.run(*(values[id(tensor)] for tensor in call.inputs), training=False)
        values.update({id(tensor): value for tensor, value in zip(call.outputs, results, strict=True)})
    assert torch.equal(values[id(model.outputs[0])], model(pixels, training=False))
    assert len(own_losses(model)) == 1 and not own_losses(model.get_layer("logits"))


def test_models_are_told_from_what_only_looks_like_one() -> None:
    model = network()

    class Mine(keras.Model):
        """Computes what it wants."""

    sequential = keras.Sequential(model.layers)
    assert is_functional(model) and is_functional(sequential)
    assert not is_functional(Mine(model.inputs, model.outputs)) and not is_functional(model.layers[1])
    assert graph_of(model) is model and operation_of(graph_of(sequential).outputs[0]) is model.layers[-1]
