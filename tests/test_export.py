"""Exported files: clean graphs, the same numbers everywhere, and nothing written where the numbers differ."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from fruitcnn import checkpoint, export_checkpoint
from fruitcnn.card import METADATA_KEY, ModelCard
from fruitcnn.errors import DatasetError, ExportError, ModelError
from fruitcnn.export import export_model, keras_probabilities
from fruitcnn.export.onnx_graph import OPSET, to_onnx
from fruitcnn.model import answer_model, build_model, features_model, keras
from fruitcnn.model.familiarity import LEVELS, Familiarity, unit
from tests.test_model import SIZES, randomised

# What familiarity adds: the features' length, three kinds of score, the distribution's straight pieces.
FAMILIARITY = {
    "Gemm": 5,
    "ReduceL2": 1,
    "Div": 1,
    "LogSoftmax": 2,
    "Sub": 2,
    "Add": 2,
    "Clip": 3,
    "Relu": 1,
    "Reshape": 1,
}
CENSUS = {
    "simple_cnn": {"Conv": 6, "Relu": 8, "MaxPool": 3, "Reshape": 2, "Gemm": 8, "Softmax": 1},
    # The last convolution is the Dense layer, before the pooling.
    "fruit_net": {"Conv": 13, "Relu": 10, "AveragePool": 3, "Add": 6, "ReduceMean": 2, "Gemm": 6, "Softmax": 1},
    "efficientnet_lite0": {"Mul": 1, "Conv": 50, "Clip": 36, "Add": 12, "ReduceMean": 2, "Gemm": 6, "Softmax": 1},
}
CENSUS = {name: {**FAMILIARITY, **nodes} for name, nodes in CENSUS.items()}
OUTPUTS = {"simple_cnn": ["probabilities", "familiarity"]}


def answering(architecture: str) -> keras.Model:
    """A network, randomised where that does not saturate it, with all the outputs that it can have."""
    if architecture == "efficientnet_lite0":
        model = build_model(architecture, classes=3, size=SIZES[architecture], dropout=0.5, weights="imagenet")
    else:
        model = randomised(architecture)
    rng = np.random.default_rng(0)
    width = features_model(model).outputs[0].shape[1]
    bank = unit(np.abs(rng.normal(size=(7, width))).astype(np.float32))
    gate = rng.normal(0, 0.05, width).astype(np.float32)
    knots = np.linspace(-40, 40, len(LEVELS)).astype(np.float32)
    return answer_model(model, familiarity=Familiarity(bank, (10.0, 0.5), gate, 0.1, knots))


def pixels_for(architecture: str, count: int = 9) -> np.ndarray:
    size = SIZES[architecture]
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("architecture", CENSUS)
def test_the_graph_holds_what_the_network_is_and_no_more(architecture: str) -> None:
    model = to_onnx(answering(architecture))
    assert collections.Counter(node.op_type for node in model.graph.node) == CENSUS[architecture]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)] and OPSET <= 18
    (image,), (probabilities, *others) = model.graph.input, model.graph.output
    names = OUTPUTS.get(architecture, ["probabilities", "familiarity", "evidence"])
    assert [output.name for output in model.graph.output] == names
    assert [len(output.type.tensor_type.shape.dim) for output in others] == [1, 4][: len(others)]
    size = SIZES[architecture]
    shape = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, shape) == ("image", ["batch", 3, size, size])
    assert (probabilities.name, probabilities.type.tensor_type.elem_type) == ("probabilities", onnx.TensorProto.FLOAT)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("architecture", CENSUS)
def test_keras_onnxruntime_and_the_reference_evaluator_agree(architecture: str) -> None:
    model, pixels = answering(architecture), pixels_for(architecture)
    graph = to_onnx(model)
    expected = keras_probabilities(model, pixels)
    expected_others = model.predict_on_batch(pixels.astype(np.float32))[1:]
    image = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.ptp(expected) > 0.05, "the comparison must be able to fail"
    for batch in (1, 4, 9):
        found, *others = session.run(None, {"image": image[:batch]})
        assert np.abs(found - expected[:batch]).max() < 1e-5
        for mine, other in zip(others, expected_others, strict=True):
            assert np.ptp(other) > 1e-3 and mine.shape == other[:batch].shape
            assert np.abs(mine - other[:batch]).max() < 1e-4
    reference = ReferenceEvaluator(graph).run(None, {"image": image[:2]})[0]
    assert np.abs(reference - expected[:2]).max() < 1e-5


def test_the_gate_leaves_no_file_where_the_numbers_differ(tmp_path: Path) -> None:
    model, pixels = answer_model(randomised("fruit_net"), temperature=1.0), pixels_for("fruit_net")
    card = ModelCard(labels=("a", "b", "c"), size=SIZES["fruit_net"])
    reference = keras_probabilities(model, pixels)
    for wrong in (reference + np.float32(2e-4), np.roll(reference, 1, axis=1), reference * np.nan):
        with pytest.raises(ExportError, match="disagrees with the trained model"):
            export_model(model, card, tmp_path, pixels=pixels, reference=wrong)
        assert list(tmp_path.iterdir()) == []
    parity = export_model(model, card, tmp_path, pixels=pixels, reference=reference)
    assert parity.onnx < 1e-5 and parity.images == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "model.keras", "model.onnx"]


def test_the_card_in_the_onnx_file_is_the_one_beside_it(finished: Path) -> None:
    graph = onnx.load(finished / checkpoint.ONNX, load_external_data=False)
    stored = {entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY]
    assert json.loads(stored) == json.loads((finished / checkpoint.CARD).read_text())


def test_the_keras_file_loads_in_plain_keras_without_fruitcnn(finished: Path, tmp_path: Path) -> None:
    size = json.loads((finished / checkpoint.CARD).read_text())["input"]["size"]
    pixels = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    script = f"""
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
sys.modules["fruitcnn"] = None
import keras, numpy
model = keras.saving.load_model({str(finished / checkpoint.KERAS)!r})
for number, found in enumerate(model.predict(numpy.load("pixels.npy").astype("float32"), verbose=0)):
    numpy.save("found" + str(number), found)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    session = onnxruntime.InferenceSession(finished / checkpoint.ONNX, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"image": pixels.transpose(0, 3, 1, 2).astype(np.float32)})
    assert len(expected) == 3
    for number, (values, allowed) in enumerate(zip(expected, (1e-5, 1e-3, 1e-4), strict=True)):
        assert np.abs(np.load(tmp_path / f"found{number}.npy") - values).max() <= allowed


def test_export_again_of_a_finished_run(finished: Path, tmp_path: Path) -> None:
    parity = export_checkpoint(finished, to=tmp_path / "new")
    assert parity.onnx <= 1e-5 and parity.images > 0
    assert (tmp_path / "new/card.json").read_text() == (finished / "card.json").read_text()
    with pytest.raises(ModelError, match=r"has no model\.keras"):
        export_checkpoint(tmp_path)


def test_export_again_notices_other_pictures(finished: Path, drawn: Path, tmp_path: Path) -> None:
    import shutil

    other, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(drawn, other)
    (other / "grape" / "grape_000.jpg").unlink()
    shutil.copytree(finished, run)
    config = (run / "config.yaml").read_text()
    assert str(drawn) in config
    (run / "config.yaml").write_text(config.replace(str(drawn), str(other)))
    with pytest.raises(DatasetError, match=r"grape/grape_000\.jpg first"):
        export_checkpoint(run)
