"""Networks that are not ours, from `module:function` to a run that ended: each mistake of theirs is told."""

from pathlib import Path
from typing import Any

import pytest

from fruitcnn import load_config
from fruitcnn.calibration.held_out import Calibration
from fruitcnn.card import ModelCard
from fruitcnn.errors import ConfigError
from fruitcnn.export.exporter import export_run
from fruitcnn.export.gate import Gate
from fruitcnn.export.reference import measure_reference
from fruitcnn.export.source import KerasSource
from fruitcnn.model import answer_model, build_model
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training.network import KerasNetwork
from tests.networks import APPLICATIONS, CLASSES, build

# The rest of tests/networks.py is interpreted right too (test_interpreter.py); to export all takes minutes.
EXPORTED = (
    *("activation", "relu6", "hard_swish", "depthwise", "separable", "squeeze_excite", "zero_padding", "dilation"),
    *("groups", "concatenation", "layer_norm", "used_twice", "same_pooling", "flatten_dropout_dense", *APPLICATIONS),
)


@pytest.mark.parametrize("name", EXPORTED)
def test_its_files_pass_the_gate(name: str, tmp_path: Path) -> None:
    model = build(name, sides=(12, 12))
    answer = answer_model(model, temperature=0.7)
    outputs: list[dict[str, Any]] = [{"name": name} for name in answer.output_names]
    if "evidence" in answer.output_names:
        outputs[-1]["grid"] = list(answer.outputs[-1].shape[2:])
    card = ModelCard(labels=("a", "b", "c"), size=model.inputs[0].shape[1], outputs=tuple(outputs))
    logits = KerasNetwork(model).calibrated(Calibration(0.7, None, 9)).logits
    reference = measure_reference(logits, list(card.labels), None, size=card.size)
    assert reference.logits.std(axis=0).max() > 1e-3, "the comparison must be able to fail"
    parities = export_run(KerasSource(answer, card, Gate(reference)), tmp_path)
    assert [parity.name for parity in parities] == ["model.keras", "model.onnx"]


def test_a_run_trains_it_and_says_what_keras_runs(drawn: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = ["model.architecture=tests.networks:small", "data.size=16", "train.epochs=1", "data.training_size=16"]
    config = load_config("quick", settings, data=drawn)
    folder = train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: said.append(str(line)))
    assert (folder / "model.onnx").is_file()
    assert "Keras itself runs these layers, which is right but slower: larger" in said


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nowhere.to_be:found", "can't be found"),
        ("tests.networks:absent", "can't be found"),
        ("tests.networks:failing", r"fails when called with classes=3 and size=16 \(ZeroDivisionError: no such number"),
        ("tests.networks:subclassed", "returned object, not a functional keras.Model"),
        ("tests.networks:of_other_size", r"has inputs and outputs \(None, 17, 16, 3\), \(None, 3\), not"),
        ("tests.networks:constrained", "has a weight with a constraint"),
        ("tests.networks:saturated", "ends in softmax, not in logits"),
    ],
)
def test_a_network_that_cannot_be_trained_is_told(function: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model(function, classes=CLASSES, size=16, dropout=0.0)


@pytest.mark.parametrize(
    ("recipe", "setting"), [("features", "model.weights=none"), ("quick", "train.head_first=true")]
)
def test_a_last_layer_that_can_not_be_fitted_is_told(recipe: str, setting: str, drawn: Path, tmp_path: Path) -> None:
    settings = ["model.architecture=tests.networks:small", "data.size=16", "data.training_size=16", setting]
    with pytest.raises(ConfigError, match="does not end in a Dense layer with a bias"):
        train_config(
            load_config(recipe, settings, data=drawn), Claim(root=tmp_path), device="cpu", print_line=lambda line: None
        )
