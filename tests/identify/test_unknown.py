"""Pictures that are like none that the model knows, and where answers come from: on a model computed by hand."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from fruitcnn import Identifier
from fruitcnn.card import ModelCard
from fruitcnn.errors import ModelError
from fruitcnn.identify.explain import overlay, shade
from tests.conftest import Run
from tests.tiny import CARD, write_picture, write_tiny_model

BRIGHT, DARK = (240, 60, 60), (40, 0, 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.onnx")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [write_picture(tmp_path / "bright.png", BRIGHT), write_picture(tmp_path / "sub" / "dark.png", DARK)]


def test_what_is_unlike_the_known_is_unknown(cli: Run, model: Path, pictures: list[Path]) -> None:
    bright, dark = map(json.loads, cli("identify", *pictures, "--model", model, "--format", "json").stdout.splitlines())
    assert (bright["identify_label"], dark["identify_label"]) == ("red", "unknown")
    assert bright["familiarity"] == pytest.approx(120 / 255) and dark["familiarity"] == pytest.approx(40 / 3 / 255)
    # What it would have answered stays.
    assert max(dark["probabilities"], key=dark["probabilities"].__getitem__) == "red"
    assert dark["prediction"]["red"].endswith("%") and bright["identify_rate"] == bright["prediction"]["red"]
    # How sure the model is of its labels says nothing about whether it is any of them.
    assert dark["identify_rate"] is None
    rows = list(csv.DictReader(io.StringIO(cli("identify", *pictures, "--model", model, "--format", "csv").stdout)))
    assert list(rows[0]) == [
        *("file", "identify_label", "identify_rate", "red", "green", "blue", "familiarity", "error", "warning")
    ]
    assert rows[1]["identify_label"] == "unknown" and float(rows[1]["familiarity"]) == dark["familiarity"]
    assert rows[1]["identify_rate"] == "" and rows[0]["identify_rate"] == bright["identify_rate"]
    line = cli("identify", pictures[1], "--model", model).stdout
    assert line.startswith(f"{'':>7}  unknown   {pictures[1]}  (familiarity {dark['familiarity']:.3f}; red ")


def test_the_threshold_can_be_given(cli: Run, model: Path, pictures: list[Path], tmp_path: Path) -> None:
    def labels(threshold: str) -> list[str]:
        done = cli("identify", *pictures, "--model", model, "--format", "json", "--refuse-below", threshold)
        return [json.loads(line)["identify_label"] for line in done.stdout.splitlines()]

    assert labels("0") == ["red", "red"] and labels("1") == ["unknown", "unknown"]
    assert cli("identify", *pictures, "--model", model, "--refuse-below", "1.5").returncode == 2
    plain = write_tiny_model(tmp_path / "plain.onnx", dataclasses.replace(CARD, outputs=CARD.outputs[:1]))
    done = cli("identify", *pictures, "--model", plain, "--refuse-below", "0.1")
    assert done.returncode == 2 and "does not say how familiar" in done.stderr
    done = cli("identify", *pictures, "--model", plain, "--format", "json")
    assert "familiarity" not in done.stdout and "unknown" not in done.stdout
    header = cli("identify", pictures[0], "--model", plain, "--format", "csv").stdout.splitlines()[0]
    assert header == "file,identify_label,identify_rate,red,green,blue,error,warning"
    done = cli("identify", *pictures, "--model", plain, "--explain", tmp_path / "maps")
    assert done.returncode == 2 and not (tmp_path / "maps").exists()


def test_explained_pictures_go_to_a_folder_of_their_own(cli: Run, model: Path, tmp_path: Path) -> None:
    # Red in the upper left quarter only, grey elsewhere; twice under one name, and once as standard input.
    pixels = np.full((80, 80, 3), 100, np.uint8)
    pixels[:40, :40] = 250, 60, 60
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "corner.png")
    data = (tmp_path / "a" / "corner.png").read_bytes()
    maps = tmp_path / "maps"
    paths = ("a/corner.png", "b/corner.png", "gone.png", "-")
    done = cli("identify", *paths, "--model", model, "--explain", maps, stdin=data)
    assert done.returncode == 3, done.stderr
    assert sorted(path.name for path in maps.iterdir()) == ["-.jpg", "corner-2.jpg", "corner.jpg"]
    shown = np.asarray(Image.open(maps / "corner.jpg")).astype(int)
    assert shown.shape == (80, 80, 3)
    # Orange where the red is: its red above its blue; nothing where no colour speaks.
    warmth = shown[..., 0] - shown[..., 2]
    assert warmth[:20, :20].mean() > 60 and abs(warmth[60:, 60:]).mean() < 10
    assert (tmp_path / "a" / "corner.png").read_bytes() == data
    # Never into a folder that holds something.
    for folder in (maps, tmp_path / "a", tmp_path / "a" / "corner.png", tmp_path / "no" / "where"):
        assert cli("identify", "a/corner.png", "--model", model, "--explain", folder).returncode == 2
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["corner.png"]


def test_against_is_blue_and_the_picture_stays_recognisable() -> None:
    image = Image.new("RGB", (40, 40), "white")
    evidence = np.zeros((2, 2, 2), np.float32)
    evidence[0, 0, 0], evidence[1, 0, 0] = 4, -4
    mine, other = (np.asarray(overlay(image, evidence, index)).astype(int) for index in (0, 1))
    assert mine[2, 2, 0] > mine[2, 2, 2] + 80 and other[2, 2, 2] > other[2, 2, 0] + 80
    assert mine[2, 2].max() > 200 and (mine[-1, -1] > 240).all()
    for_all_alike = np.array([[1, 2], [3, 4]], np.float32)
    assert np.array_equal(overlay(image, evidence + for_all_alike, 0), mine), "only differences decide"


def test_beside_an_edge_nothing_is_covered_more_than_by_the_strongest_evidence() -> None:
    for sign in (1, -1):
        places = np.full((8, 8), -1.0)
        places[:, :4] = 1
        shaded = np.asarray(shade(Image.new("RGB", (64, 64)), sign * places)).astype(int)
        assert (shaded[:, :32] <= shaded[0, 0]).all() and (shaded[:, 32:] <= shaded[0, -1]).all()


def test_evidence_is_what_the_graph_gives(model: Path) -> None:
    identifier = Identifier.load(model)
    pixels = np.random.default_rng(9).integers(256, size=(3, 8, 8, 3), dtype=np.uint8)
    evidence = identifier.evidence(pixels)
    assert evidence.shape == (3, 3, 2, 2)
    logits = evidence.mean((2, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(identifier.probabilities(pixels), probabilities, atol=1e-6)


def test_the_card_says_what_the_graph_gives(cli: Run, model: Path, tmp_path: Path) -> None:
    assert ModelCard.from_json(CARD.to_json(), source="x") == CARD and CARD.refuse_below == 0.25
    assert ModelCard(labels=("a", "b"), size=8).refuse_below is None
    later = dataclasses.replace(CARD, outputs=(*CARD.outputs[:2], {"name": "mood"}))
    file = tmp_path / "later.onnx"
    # What a later version adds is not asked for; what is promised and missing is refused.
    promised = dataclasses.replace(CARD, outputs=(*CARD.outputs[:2], {"name": "evidence", "grid": [3, 3]}))
    for card, fine in ((later, True), (promised, False)):
        _with_card(model, file, card)
        if fine:
            assert Identifier.load(file).has_familiarity
        else:
            with pytest.raises(ModelError, match="disagree"):
                Identifier.load(file)
    told = cli("info", model).stdout
    assert "below a familiarity of 0.25" in told and "where each answer comes from" in told
    for outputs in ([{"name": "familiarity"}], [{"name": "probabilities"}, {"name": "familiarity", "refuse_below": 2}]):
        text = json.dumps({**json.loads(CARD.to_json()), "outputs": outputs})
        with pytest.raises(ModelError, match="outputs"):
            ModelCard.from_json(text, source="x")


def _with_card(model: Path, file: Path, card: ModelCard) -> None:
    graph = onnx.load(model)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {"fruitcnn.card": card.to_json()})
    onnx.save(graph, file)


def test_many_labels_fill_neither_a_line_nor_the_table(cli: Run, tmp_path: Path) -> None:
    assert CARD.labels_shown(2) == "red, green and 1 more" and CARD.labels_shown(3) == "red, green, blue"
    labels = tuple(f"class {number}" for number in range(1000))
    card = ModelCard(labels=labels, size=8, provenance={})
    file = _constant_model(tmp_path / "many.onnx", card)
    told = cli("info", file).stdout
    assert max(map(len, told.splitlines())) < 300 and "class 11 and 988 more" in told
    picture = write_picture(tmp_path / "x.png", BRIGHT)
    assert cli("identify", picture, "--model", file).stdout.count("class ") == 5
    assert cli("identify", picture, "--model", file, "--top", "7").stdout.count("class ") == 7
    row = json.loads(cli("identify", picture, "--model", file, "--format", "json").stdout)
    assert len(row["probabilities"]) == 1000


def _constant_model(file: Path, card: ModelCard) -> Path:
    """The same probabilities for every picture."""
    classes = len(card.labels)
    weights = onnx.numpy_helper.from_array(np.zeros((3, classes), np.float32), "weights")
    nodes = [
        onnx.helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shapes = {"image": ["n", 3, card.size, card.size], "probabilities": ["n", classes]}
    values = {name: onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()}
    graph = onnx.helper.make_graph(nodes, "same", [values["image"]], [values["probabilities"]], [weights])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.helper.set_model_props(model, {"fruitcnn.card": card.to_json()})
    onnx.save(model, file)
    return file
