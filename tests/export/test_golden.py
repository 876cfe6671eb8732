"""The golden vectors: what an implementer tests against must itself be right."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitcnn.checkpoint import SHIPPED
from fruitcnn.errors import ExportError
from fruitcnn.export.golden import prove_golden, write_golden
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import load_pixels
from tests.conftest import REPOSITORY

assert SHIPPED is not None
GOLDEN = REPOSITORY / "examples/golden"
CONTENT = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_every_tensor_and_answer_is_what_the_picture_gives() -> None:
    identifier = Identifier.load(SHIPPED)
    assert list(identifier.card.labels) == CONTENT["model"]["labels"]
    assert len(CONTENT["pictures"]) == 24 and len({entry["tensor"] for entry in CONTENT["pictures"]}) == 24
    for entry in CONTENT["pictures"]:
        data = (GOLDEN / entry["file"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        pixels = np.fromfile(GOLDEN / entry["tensor"], np.uint8).reshape(CONTENT["tensor"]["shape"])
        if entry["file"].endswith(".png"):  # JPEG decoders differ by a grey level
            assert np.array_equal(load_pixels(data, identifier.card.size), pixels), entry["file"]
        (probabilities,) = identifier.probabilities(pixels[None])
        assert np.abs(probabilities - entry["probabilities"]).max() < 1e-5
        powers = np.exp(np.array(entry["logits"]) - max(entry["logits"]))
        assert np.abs(powers / powers.sum() - entry["probabilities"]).max() < 1e-5


def test_the_pictures_hold_what_implementations_stumble_over() -> None:
    modes, sizes, orientations = set(), set(), set()
    for entry in CONTENT["pictures"]:
        with Image.open(GOLDEN / entry["file"]) as image:
            assert image.size == (entry["width"], entry["height"])
            assert image.getexif().get(0x0112, 1) == entry["orientation"]
            modes.add(image.mode)
            sizes.add(image.size)
            orientations.add(entry["orientation"])
    assert modes == {"RGB", "L", "1", "P", "RGBA", "LA"} and orientations == {1, 2, 3, 6, 8}
    assert {(1, 1), (137, 1), (1, 211)} < sizes
    answers = np.array([entry["probabilities"] for entry in CONTENT["pictures"]])
    assert len(set(answers.argmax(1).tolist())) > 1
    assert (answers.max(1) < 0.9).sum() > 5, "saturated answers hide errors"


def test_the_repository_holds_what_export_writes_for_the_shipped_model(tmp_path: Path) -> None:
    assert CONTENT["model"]["sha256"] == hashlib.sha256((SHIPPED / "model.onnx").read_bytes()).hexdigest()
    (tmp_path / "golden").mkdir()
    write_golden(OnnxSource(SHIPPED / "model.onnx"), tmp_path / "golden")
    written, kept = files(tmp_path / "golden"), files(GOLDEN)
    assert written.keys() == kept.keys()
    for name in ("README.md", "schema.json"):
        assert written[name] == kept[name]
    content = json.loads(written["golden.json"])
    assert {**content, "pictures": None} == {**CONTENT, "pictures": None}
    for new, old in zip(content["pictures"], CONTENT["pictures"], strict=True):
        # Encoders may pack the same pixels differently, and those of JPEG round differently.
        assert {**new, "sha256": None}.keys() == old.keys() and new["orientation"] == old["orientation"]
        assert np.abs(np.subtract(new["probabilities"], old["probabilities"])).max() < 1e-2
    assert sum(len(found) for name, found in kept.items() if not name.endswith(".rgb")) < 4e5, "beside the tensors"
    (tmp_path / "again").mkdir()
    write_golden(OnnxSource(SHIPPED / "model.onnx"), tmp_path / "again")
    assert files(tmp_path / "again") == written, "the same model gives the same bytes"


def test_the_gate_reads_the_folder_as_an_implementer_does(tmp_path: Path) -> None:
    source, folder = OnnxSource(SHIPPED / "model.onnx"), tmp_path
    write_golden(source, folder)
    assert prove_golden(source, folder).images == 24
    whole = (folder / "golden.json").read_text()
    entry = json.loads(whole)["pictures"][3]
    content = json.loads(whole)
    content["pictures"][3]["probabilities"] = np.roll(entry["probabilities"], 1).tolist()
    (folder / "golden.json").write_text(json.dumps(content))
    with pytest.raises(ExportError, match="its pictures and answers disagree"):
        prove_golden(source, folder)
    (folder / "golden.json").write_text(whole)
    # One value by one level: no answer shows that.
    tensor = folder / entry["tensor"]
    first, *others = tensor.read_bytes()
    tensor.write_bytes(bytes([first ^ 1, *others]))
    with pytest.raises(ExportError, match="its pictures and answers disagree"):
        prove_golden(source, folder)


def test_the_schema_names_every_key() -> None:
    schema = json.loads((GOLDEN / "schema.json").read_text(encoding="utf-8"))
    entry = schema["properties"]["pictures"]["items"]
    for picture in CONTENT["pictures"]:
        assert set(entry["required"]) <= set(picture) <= set(entry["properties"])
    assert set(schema["required"]) == set(CONTENT) == set(schema["properties"])
    assert schema["properties"]["format"]["const"] == CONTENT["format"]
