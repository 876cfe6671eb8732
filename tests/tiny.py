"""A model small enough to be computed by hand, with all three outputs: it tells red, green and blue pictures apart."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from fruitcnn.card import METADATA_KEY, ModelCard

SIZE, GRID = 8, 2
CARD = ModelCard(
    labels=("red", "green", "blue"),
    size=SIZE,
    outputs=(
        {"name": "probabilities"},
        {"name": "familiarity", "refuse_below": 0.25},
        {"name": "evidence", "grid": [GRID, GRID]},
    ),
    provenance={"architecture": "by hand", "parameters": 2},
)


def write_tiny_model(path: Path, card: ModelCard = CARD) -> Path:
    """Evidence: the mean of each colour in each quarter, over 32; the logits are its mean over the quarters.

    Familiarity: the mean brightness, 0 to 1. So black pictures are unlike all others.
    """
    constants = {"scale": 1 / 32, "brightness": 1 / 255}
    nodes = [
        helper.make_node("AveragePool", ["image"], ["quarters"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Mul", ["quarters", "scale"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence"], ["logits"], axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "brightness"], ["familiarity"]),
    ]
    shapes = {"probabilities": ["n", 3], "familiarity": ["n"], "evidence": ["n", 3, GRID, GRID]}
    wanted = [str(output["name"]) for output in card.outputs]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in wanted],
        [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, path)
    return path


def write_picture(path: Path, colour: tuple[int, int, int]) -> Path:
    """One colour all over, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIZE, SIZE), colour).save(path)
    return path
