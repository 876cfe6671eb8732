"""Exported files: clean graphs, the same numbers everywhere, and nothing written where the numbers differ."""

import collections
import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from fruitcnn import checkpoint, export_checkpoint
from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.conformal import LEVELS
from fruitcnn.calibration.familiarity import Familiarity, unit
from fruitcnn.calibration.held_out import Calibration
from fruitcnn.card import METADATA_KEY, ModelCard
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import ExportError, ModelError, UsageError
from fruitcnn.export import keras_model, onnx_model
from fruitcnn.export.drawing import draw_squares
from fruitcnn.export.exporter import export_run
from fruitcnn.export.formats import FORMATS, Format
from fruitcnn.export.gate import Differences, Gate, Parity, Tolerance, compare_other_outputs, compare_probabilities
from fruitcnn.export.keras_model import keras_outputs
from fruitcnn.export.onnx_graph import OPSET, to_onnx
from fruitcnn.export.reference import Reference, measure_reference
from fruitcnn.export.source import KerasSource
from fruitcnn.image import Pixels
from fruitcnn.model import answer_model, build_model, features_model, keras
from fruitcnn.training.network import KerasNetwork
from tests.model.test_model import SIZES, randomised

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


@functools.cache
def exported(architecture: str) -> tuple[keras.Model, onnx.ModelProto]:
    """A network, randomised where that does not saturate it, with all the outputs that it can have; and its graph."""
    if architecture == "efficientnet_lite0":
        model = build_model(architecture, classes=3, size=SIZES[architecture], dropout=0.5, weights="imagenet")
    else:
        model = randomised(architecture)
    rng = np.random.default_rng(0)
    width = features_model(model).outputs[0].shape[1]
    bank = unit(np.abs(rng.normal(size=(7, width))).astype(np.float32))
    gate = rng.normal(0, 0.05, width).astype(np.float32)
    knots = np.linspace(-40, 40, len(LEVELS)).astype(np.float32)
    answer = answer_model(model, familiarity=Familiarity(bank, (10.0, 0.5), gate, 0.1, knots))
    return answer, to_onnx(answer)


def pixels_for(architecture: str, count: int = 9) -> np.ndarray:
    size = SIZES[architecture]
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("architecture", CENSUS)
def test_the_graph_holds_what_the_network_is_and_no_more(architecture: str) -> None:
    _, model = exported(architecture)
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
    (model, graph), pixels = exported(architecture), pixels_for(architecture)
    expected = keras_outputs(model, pixels)["probabilities"]
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


CARD = ModelCard(
    labels=("a", "b", "c"),
    size=SIZES["fruit_net"],
    outputs=({"name": "probabilities"}, {"name": "evidence", "grid": [3, 3]}),
)


def reference_for(model: keras.Model, pixels: np.ndarray) -> Reference:
    """What a logits model answers, by Keras' own layers."""
    logits = keras.ops.convert_to_numpy(model(pixels.astype(np.float32), training=False))
    return Reference(CARD.labels, pixels, logits)


def test_nothing_is_written_where_the_numbers_differ(tmp_path: Path) -> None:
    model, pixels = randomised("fruit_net"), pixels_for("fruit_net")
    reference = reference_for(model, pixels)
    answer = answer_model(model, temperature=1.0)
    for wrong in (np.roll(reference.logits, 1, axis=1), reference.logits * np.nan):
        with pytest.raises(ExportError, match=r"model\.keras: disagrees with the trained model"):
            export_run(KerasSource(answer, CARD, Gate(dataclasses.replace(reference, logits=wrong))), tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_file_with_a_defect_of_its_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels = randomised("fruit_net"), pixels_for("fruit_net")
    reference = reference_for(model, pixels)
    answer = answer_model(model, temperature=1.0)

    with monkeypatch.context() as patched:
        patched.setattr("fruitcnn.export.onnx_graph.to_onnx", lambda model: with_other_bias(to_onnx(model)))
        with pytest.raises(ExportError, match=r"model\.onnx: disagrees"):
            export_run(KerasSource(answer, CARD, Gate(reference)), tmp_path)
    assert list(tmp_path.iterdir()) == []

    # Keras would compute on its own device, in TF32, were it let.
    real = torch.nn.functional.conv2d

    def rounding(x: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        if keras.src.backend.torch.core.get_device() != "cpu":
            x = (x.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32)
        return real(x, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", rounding)
    with keras.device("cuda"):
        parities = export_run(KerasSource(answer, CARD, Gate(reference)), tmp_path)
    assert [parity.name for parity in parities] == ["model.keras", "model.onnx"]
    assert all(parity.images == 9 and parity.logit < 1e-5 and parity.probability < 1e-5 for parity in parities)
    assert {path.name for path in tmp_path.iterdir()} == {"card.json", "model.keras", "model.onnx", "reference.npz"}


def with_other_bias(graph: onnx.ModelProto) -> onnx.ModelProto:
    (node,) = [node for node in graph.graph.node if node.name == "Conv_13"]  # the maps of the logits
    bias = next(tensor for tensor in graph.graph.initializer if tensor.name == node.input[2])
    other = onnx.numpy_helper.to_array(bias) + np.float32([0, 0, 0.5])
    bias.CopyFrom(onnx.numpy_helper.from_array(other, bias.name))
    return graph


@pytest.mark.parametrize(("module", "allowed"), [(keras_model, 1e-5), (onnx_model, 1e-4)])
def test_each_tolerance_of_each_file(module: Any, allowed: float) -> None:
    # A saturated picture, and one in doubt.
    logits = np.float32([[50, 0, -30], [0, 0, -1]])
    found = softmax(logits)
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    tolerance = module.TOLERANCE
    assert tolerance == Tolerance(allowed, allowed)

    def difference(picture: int, column: int, change: float) -> Parity:
        faked = logits.copy()
        faked[picture, column] += change
        return compare_probabilities(
            "some.file", found, Reference(("a", "b", "c"), pixels, faked), tolerance, NoRounding()
        )

    # 80 is the largest logarithm: a logit may be off by 80 times the tolerance.
    assert difference(0, 2, 72 * tolerance.logit).logit == pytest.approx(0.9 * tolerance.logit, rel=0.05)
    with pytest.raises(ExportError, match="a logit by"):
        difference(0, 2, 88 * tolerance.logit)
    # Half a logit is a quarter of a probability, and less than the logits alone would allow.
    assert difference(1, 2, 6 * tolerance.probability).probability > 0.5 * tolerance.probability
    with pytest.raises(ExportError, match="a probability by"):
        difference(1, 2, 9 * tolerance.probability)


class NoRounding:
    def probabilities(self, pixels: Pixels) -> Differences:
        return Differences(np.zeros(len(pixels)), np.zeros(len(pixels)))

    def mean(self, output: str, pixels: Pixels) -> float:
        return 0.0


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_labels_must_be_the_same_where_they_are_clear() -> None:
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    generous = Tolerance(logit=1.0, probability=0.1)
    reference = Reference(("a", "b"), pixels, np.log(np.float32([[0.57, 0.43]])))
    with pytest.raises(ExportError, match="1 of 1 labels differ"):
        compare_probabilities("some.file", np.float32([[0.49, 0.51]]), reference, generous, NoRounding())
    assert compare_probabilities("some.file", np.float32([[0.51, 0.49]]), reference, generous, NoRounding()).images == 1
    # Logarithms below 1 are measured as they are.
    parity = compare_probabilities("some.file", np.float32([[0.55, 0.45]]), reference, generous, NoRounding())
    assert parity.logit == pytest.approx(np.log(0.45 / 0.43), rel=1e-3)
    with pytest.raises(ExportError, match="numbers a picture"):
        compare_probabilities("some.file", np.float32([[0.5, 0.3, 0.2]]), reference, generous, NoRounding())


@pytest.mark.parametrize(("output", "change"), [("familiarity", 1.5e-3), ("evidence", 1.2e-2), ("evidence", np.nan)])
def test_the_other_outputs_must_be_alike(output: str, change: float) -> None:
    answers = {"familiarity": np.float32([0.5, 1.0]), "evidence": np.full((2, 3, 4, 4), 8.0, np.float32)}
    for allowed in (0.0, change / 2) if change == change else (0.0,):
        compare_other_outputs(
            "second", {**answers, output: answers[output] - np.float32(allowed)}, "first", answers, no_rounding
        )
    other = answers[output] - np.float32(0 if change != change else change)
    other.flat[-1] = np.nan if change != change else other.flat[-1]
    with pytest.raises(ExportError, match=f"second: its {output} differs from that of first"):
        compare_other_outputs("second", {**answers, output: other}, "first", answers, no_rounding)


def test_another_output_may_be_off_by_what_rounding_changes_and_no_more_than_a_hundredth() -> None:
    answers = {"familiarity": np.float32([0.5, 1.0])}
    near, far = ({"familiarity": answers["familiarity"] - np.float32(change)} for change in (4e-3, 4e-2))
    compare_other_outputs("second", near, "first", answers, lambda output: 5e-3)
    for other, rounding in ((near, 3e-3), (far, 1.0)):
        with pytest.raises(ExportError, match="its familiarity differs"):
            compare_other_outputs("second", other, "first", answers, lambda output, most=rounding: most)


def no_rounding(output: str) -> float:
    return 0.0


def test_a_file_whose_evidence_is_elsewhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = randomised("fruit_net")
    reference = reference_for(model, pixels_for("fruit_net"))

    def mirrored(model: keras.Model) -> onnx.ModelProto:
        graph = to_onnx(model)
        (node,) = [node for node in graph.graph.node if "evidence" in node.output]
        node.output[0] = "upright"
        flip = [onnx.numpy_helper.from_array(np.int64([number]), f"flip{number}") for number in (-1, -99, 3)]
        graph.graph.initializer.extend(flip)
        names = [tensor.name for tensor in flip]
        graph.graph.node.append(onnx.helper.make_node("Slice", ["upright", *names, names[0]], ["evidence"]))
        for other in graph.graph.node[:-1]:
            other.input[:] = ["upright" if name == "evidence" else name for name in other.input]
        return graph

    monkeypatch.setattr("fruitcnn.export.onnx_graph.to_onnx", mirrored)
    with pytest.raises(ExportError, match=r"model\.onnx: its evidence differs from that of model\.keras"):
        export_run(KerasSource(answer_model(model), CARD, Gate(reference)), tmp_path)
    assert list(tmp_path.iterdir()) == []


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


def copy_of(run: Path, to: Path) -> Path:
    to.mkdir()
    for name in ("model.keras", "card.json", "reference.npz"):
        shutil.copy(run / name, to)
    return to


def test_export_again_needs_no_photographs(finished: Path, tmp_path: Path) -> None:
    run = copy_of(finished, tmp_path / "run")
    parities = export_checkpoint(run, to=tmp_path / "new")
    assert [parity.images for parity in parities] == [6, 6]
    assert max(parity.logit for parity in parities) <= 2e-5, parities
    assert (tmp_path / "new/card.json").read_text() == (finished / "card.json").read_text()
    one, other = (Reference.load(folder / "reference.npz", size=32) for folder in (finished, tmp_path / "new"))
    assert np.array_equal(one.pixels, other.pixels) and np.array_equal(one.logits, other.logits)
    # What is in the way is not ours to overwrite.
    (tmp_path / "new/card.json").write_text("mine")
    with pytest.raises(UsageError, match=r"card\.json.*--force"):
        export_checkpoint(run, to=tmp_path / "new")
    assert (tmp_path / "new/card.json").read_text() == "mine"
    export_checkpoint(run, to=tmp_path / "new", force=True)
    assert (tmp_path / "new/card.json").read_text() == (finished / "card.json").read_text()
    with pytest.raises(UsageError, match="not a folder"):
        export_checkpoint(run, to=run / "card.json")
    with pytest.raises(ModelError, match=r"has no card\.json, reference\.npz"):
        export_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card["labels"].reverse(), "labels: the card says"),
        (lambda card: card["labels"].append("more"), "labels: the card says"),
        (lambda card: card["input"].update(size=48), "size: the card says"),
        (lambda card: card["outputs"].pop(), "outputs: the card says"),
    ],
)
def test_a_card_that_is_not_the_models_is_refused(
    change: Callable[[dict[str, Any]], None], message: str, finished: Path, tmp_path: Path
) -> None:
    run = copy_of(finished, tmp_path / "run")
    card = json.loads((run / "card.json").read_text())
    change(card)
    (run / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=message):
        export_checkpoint(run)
    assert {path.name for path in run.iterdir()} == {"model.keras", "card.json", "reference.npz"}


def test_the_reference_is_the_trained_model_on_pictures_of_the_validation(finished: Path, drawn: Path) -> None:
    reference, data = Reference.load(finished / "reference.npz", size=32), scan(drawn, sizes=[32])
    assert np.array_equal(reference.pixels, data.pixels("validation", 32)[:]) and reference.labels == tuple(data.labels)
    answer = keras.saving.load_model(finished / "model.keras", compile=False)
    assert np.abs(softmax(reference.logits) - keras_outputs(answer, reference.pixels)["probabilities"]).max() < 1e-5


def test_at_most_64_pictures_evenly_spaced_or_drawn_ones() -> None:
    net = KerasNetwork(randomised("fruit_net"))

    def calibrated(temperature: float) -> Callable[[Pixels], Float32Array]:
        return net.calibrated(Calibration(temperature, None, 9)).logits

    rows = np.repeat(np.arange(130, dtype=np.uint8)[:, None], 48 * 48 * 3, axis=1).reshape(130, 48, 48, 3)
    found = measure_reference(calibrated(2.0), ["a", "b", "c"], rows, size=48)
    assert len(found.pixels) == 64 and found.pixels[[0, 32, 63], 0, 0, 0].tolist() == [0, 65, 129]
    hotter = measure_reference(calibrated(4.0), ["a", "b", "c"], rows, size=48)
    assert np.allclose(found.logits, 2 * hotter.logits) and np.ptp(found.logits) > 0.1
    drawn = measure_reference(calibrated(1.0), ["a", "b", "c"], None, size=48)
    assert drawn.pixels.shape == (64, 48, 48, 3) and len(np.unique(drawn.pixels.reshape(64, -1), axis=0)) == 64
    assert np.array_equal(drawn.pixels, draw_squares(48, 64)), "the same every time"


def test_a_process_that_has_keras_on_another_backend_is_told() -> None:
    def run(code: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KERAS_BACKEND": "numpy", "KERAS_TORCH_DEVICE": "cuda"}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    claim = "sys.modules['keras'] = SimpleNamespace(config=SimpleNamespace(backend=lambda: 'jax'))"
    refused = run(f"import sys; from types import SimpleNamespace; {claim}; import fruitcnn.model")
    assert refused.returncode == 1 and "imported with its jax backend" in refused.stderr
    assert "set KERAS_BACKEND=torch before" in refused.stderr
    settled = run("from fruitcnn.model import keras; print(keras.config.backend(), keras.ops.ones(()).device)")
    assert settled.stdout.split() == ["torch", "cpu"], settled.stderr


DERIVED = [format for format in FORMATS.values() if format.is_derived]


@pytest.mark.parametrize("format", DERIVED, ids=lambda format: format.name)
def test_a_derived_file_replaces_none_unasked(format: Format, tmp_path: Path) -> None:
    (tmp_path / format.file).write_text("mine")
    with pytest.raises(UsageError, match=rf"holds {format.file} already; name another folder, or add --force"):
        export_checkpoint(checkpoint.SHIPPED, formats=[format.name], to=tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(format.file, "mine")]
