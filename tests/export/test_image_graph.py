"""image.onnx: a photograph of any size in, the answer of Pillow's resize and model.onnx out."""

import collections
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from fruitcnn.card import METADATA_KEY
from fruitcnn.checkpoint import SHIPPED
from fruitcnn.errors import ExportError
from fruitcnn.export.image_graph import image_graph, prove_image_graph, write_image_graph
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import decode, load_pixels, resize

assert SHIPPED is not None
MODEL = SHIPPED / "model.onnx"
CPU = ["CPUExecutionProvider"]


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    return image_graph(onnx.load(MODEL))


@pytest.fixture(scope="module")
def resizer(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The image graph with the pixels that it hands to the network as an output of their own."""
    with_pixels = onnx.ModelProto()
    with_pixels.CopyFrom(graph)
    with_pixels.graph.output.append(onnx.helper.make_empty_tensor_value_info("resize/pixels"))
    return onnxruntime.InferenceSession(with_pixels.SerializeToString(), providers=CPU)


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), np.uint8)


def test_it_is_one_plain_file_with_the_card_and_the_models_outputs(graph: onnx.ModelProto) -> None:
    model = onnx.load(MODEL)
    assert [entry.domain for entry in graph.opset_import] == [""] and graph.opset_import[0].version <= 18
    assert {entry.key: entry.value for entry in graph.metadata_props} == {
        entry.key: entry.value for entry in model.metadata_props if entry.key == METADATA_KEY
    }
    (photo,) = graph.graph.input
    assert (photo.name, photo.type.tensor_type.elem_type) == ("photo", onnx.TensorProto.UINT8)
    assert [d.dim_param or d.dim_value for d in photo.type.tensor_type.shape.dim] == ["height", "width", 3]
    assert [output.name for output in graph.graph.output] == [output.name for output in model.graph.output]
    assert all(output.type.tensor_type.shape.dim[0].dim_value == 1 for output in graph.graph.output)
    # onnxruntime 1.18 to 1.21 makes two nodes of one name after two of ours without any, and refuses the file.
    names = [node.name for node in graph.graph.node]
    assert all(names) and len(set(names)) == len(names)
    added = collections.Counter(node.op_type for node in graph.graph.node)
    added -= collections.Counter(node.op_type for node in model.graph.node)
    assert set(added) <= {
        *("Abs", "Add", "Cast", "Concat", "Div", "Floor", "Gather", "MatMul", "Max", "Mul", "Range", "ReduceSum"),
        *("Relu", "Reshape", "Shape", "Sub", "Transpose", "Unsqueeze"),
    }
    # One colour at a time: float32 copies of a large photograph would be what memory runs out on.
    assert added["Gather"] == 7 and added["MatMul"] == 5


@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (1, 300),
        (300, 1),
        (2, 3),
        (31, 47),
        (95, 97),
        (193, 389),
        (96, 96),
        (192, 192),
        (288, 96),
        (640, 480),
        (1001, 799),
        (8000, 7),
        (7, 6000),
    ],
)
def test_the_resize_is_pillows(resizer: onnxruntime.InferenceSession, size: tuple[int, int]) -> None:
    photo = noise(*size)
    found = resizer.run(["resize/pixels"], {"photo": photo})[0][0].transpose(1, 2, 0)
    expected = resize(Image.fromarray(photo), found.shape[0]).astype(np.float32)
    assert np.array_equal(found, expected)


def test_it_rounds_between_across_and_down_as_pillow_does(resizer: onnxruntime.InferenceSession) -> None:
    """Every pixel is one that tells rounding twice from rounding once, and across first from down first."""
    photo = noise(173, 131)
    found = resizer.run(["resize/pixels"], {"photo": photo})[0][0].transpose(1, 2, 0)
    turned = resizer.run(["resize/pixels"], {"photo": photo.transpose(1, 0, 2).copy()})[0][0].transpose(2, 1, 0)
    assert (found != turned).mean() > 0.05, "the comparison must be able to fail"
    assert (found != resize(Image.fromarray(photo), found.shape[0])).mean() == 0


def test_the_gate_refuses_a_file_that_answers_otherwise(tmp_path: Path, graph: onnx.ModelProto) -> None:
    source = OnnxSource(MODEL)
    write_image_graph(source, tmp_path / "image.onnx")
    parity = prove_image_graph(source, tmp_path / "image.onnx")
    assert parity.images == 10 and 0 <= parity.probability <= 1e-3
    assert onnx.load(tmp_path / "image.onnx") == graph
    wrong = onnx.ModelProto()
    wrong.CopyFrom(graph)
    (middle,) = (tensor for tensor in wrong.graph.initializer if tensor.name == "resize/middle")
    middle.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), middle.name))
    onnx.save(wrong, tmp_path / "wrong.onnx")
    with pytest.raises(ExportError, match=r"wrong\.onnx: .* labels differ, a probability by up to"):
        prove_image_graph(source, tmp_path / "wrong.onnx", [noise(300, 200)])


def test_identify_and_the_image_graph_agree_on_photographs(photographs: Path, tmp_path: Path) -> None:
    """Both ways of preparing a photograph, from the file on; the scaled JPEG decoding of `identify` included."""
    write_image_graph(OnnxSource(MODEL), tmp_path / "image.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "image.onnx", providers=CPU)
    identifier = Identifier.load(MODEL)
    files = sorted((photographs / "photos").rglob("*.*"))[::97] + sorted((photographs / "examples").iterdir())
    assert len(files) > 15
    for file in files:
        size = identifier.card.size
        (whole,) = session.run(["probabilities"], {"photo": np.asarray(decode(file, at_least=0))})
        expected = identifier.probabilities(resize(decode(file, at_least=0), size)[None])
        assert np.abs(whole - expected).max() <= 1e-3 and whole.argmax() == expected.argmax(), file.name
        scaled = identifier.probabilities(load_pixels(file, size)[None])
        assert np.abs(whole - scaled).max() <= 1e-2, file.name
