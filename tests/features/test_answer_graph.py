"""The answer head in ONNX nodes gives the numbers of the fitted objects, and those of the head in Keras' layers."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest

from fruitcnn.calibration.familiarity import Familiarity, fit_familiarity, held_out_scores
from fruitcnn.calibration.linear_probe import Heads, fit_head
from fruitcnn.checkpoint import ONNX, SHIPPED
from fruitcnn.features.answer_graph import answer_graph
from fruitcnn.features.backbone import cut_backbone
from tests.export.test_export import CENSUS

assert SHIPPED is not None
SIZE, CLASSES, TEMPERATURE = 64, 4, 1.7


def run(graph: onnx.ModelProto, pixels: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": pixels}), strict=True))


@pytest.fixture(scope="module")
def backbone() -> onnx.ModelProto:
    return cut_backbone(SHIPPED / ONNX, SIZE)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Of many kinds, from all dark to noise: 24 pictures."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 3, SIZE, SIZE))
    return (noise * np.linspace(0, 1, 24)[:, None, None, None]).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(backbone: onnx.ModelProto, pixels: np.ndarray) -> tuple[np.ndarray, Heads, Familiarity]:
    """Features [24, D], and two heads and a familiarity with all three of its parts, fitted to them."""
    features, targets = run(backbone, pixels)["features"], np.arange(24) % CLASSES
    penalties, outside = (5.0, 0.01), features[:6] + np.float32(0.1)
    heads = Heads(tuple(fit_head(features, targets, classes=CLASSES, penalty=each) for each in penalties))
    scores = held_out_scores([features] * 3, targets, np.arange(24) % 3, outside=[outside] * 3)
    logits = heads.mean.logits(features) / np.float32(TEMPERATURE)
    return features, heads, fit_familiarity(features, targets, scores, logits, outside=outside)


def test_the_outputs_are_those_of_the_fitted_objects(
    backbone: onnx.ModelProto, pixels: np.ndarray, fitted: tuple[np.ndarray, Heads, Familiarity]
) -> None:
    features, heads, familiarity = fitted
    found = run(answer_graph(backbone, heads, temperature=TEMPERATURE, familiarity=familiarity), pixels)
    both = [head.logits(features).astype(np.float64) / TEMPERATURE for head in heads.members]
    logits = np.mean(both, axis=0)
    expected = np.mean([np.exp(each) / np.exp(each).sum(1, keepdims=True) for each in both], axis=0)
    alone = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(expected - alone).max() > 1e-3, "the mean of the answers, not the answer of the mean"
    assert list(found) == ["probabilities", "familiarity", "evidence"] and found["evidence"].shape == (24, 4, 2, 2)
    assert np.abs(found["probabilities"] - expected).max() < 1e-5
    assert np.abs(found["evidence"].mean((2, 3)) - logits).max() < 1e-4
    levels = familiarity.p_value(familiarity.score(features, logits.astype(np.float32)))
    assert np.abs(found["familiarity"] - levels).max() < 1e-4 and np.ptp(levels) > 0.1


def test_the_graph_is_as_clean_as_the_one_that_comes_from_keras(
    backbone: onnx.ModelProto, fitted: tuple[np.ndarray, Heads, Familiarity]
) -> None:
    one = Heads(fitted[1].members[:1])
    graph = answer_graph(backbone, one, temperature=TEMPERATURE, familiarity=fitted[2])
    from_keras = onnx.load(SHIPPED.with_name("fruits-small") / ONNX)
    assert collections.Counter(node.op_type for node in graph.graph.node) == CENSUS["efficientnet_lite0"]
    names = [node.name for node in graph.graph.node]
    assert len(set(names)) == len(names) and all(names)
    assert graph.opset_import == from_keras.opset_import and graph.ir_version == from_keras.ir_version
