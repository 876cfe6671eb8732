"""The shipped model, and the real photographs where they are beside the repository."""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from fruitcnn import Identification, Identifier
from fruitcnn.checkpoint import FILES, LAST, PREDICTIONS, SHIPPED
from fruitcnn.dataset.scan import scan
from fruitcnn.image import decode
from tests.conftest import REPOSITORY, Run
from tests.test_export import CENSUS


def test_the_shipped_model_is_whole_and_clean() -> None:
    assert SHIPPED is not None
    assert {path.name for path in SHIPPED.iterdir()} - {LAST, "logs"} == set(FILES) - {LAST, PREDICTIONS}
    graph = onnx.load(SHIPPED / "model.onnx", load_external_data=False).graph
    counts = {kind: [node.op_type for node in graph.node].count(kind) for kind in {n.op_type for n in graph.node}}
    assert counts == CENSUS["fruit_net"]
    card = Identifier.load(SHIPPED).card
    assert card.labels == ("grape", "pineapple", "strawberry")
    recorded = json.loads((SHIPPED / "metrics.json").read_text())["validation"]
    assert round(recorded["accuracy"], 4) == card.provenance["accuracy"]["validation"]


def test_the_wheel_carries_the_model_and_the_recipes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "."]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {name.rpartition("/")[2] for name in names if name.startswith("fruitcnn/checkpoints/")}
    assert shipped == {"model.onnx", "card.json"}, "what identifying needs, and no more"
    assert {"fruitcnn/configs/fruit_net.yaml", "fruitcnn/configs/quick.yaml", "fruitcnn/cli.py"} <= names
    assert not any("drawing" in name or name.endswith(".jpg") for name in names)
    # Unpacked anywhere, it answers at once with its own model.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import fruitcnn; print(fruitcnn.__file__, fruitcnn.Identifier.load().card.labels)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in done.stdout and "'grape', 'pineapple', 'strawberry'" in done.stdout


def test_the_three_examples_of_the_original_system(photographs: Path, cli: Run) -> None:
    done = cli("identify", photographs / "examples", "--model", SHIPPED, "--format", "json")
    found = {Path(row["file"]).stem: row["identify_label"] for row in map(json.loads, done.stdout.splitlines())}
    assert found == {label: label for label in ("grape", "pineapple", "strawberry")}


def test_the_shipped_model_is_as_good_as_its_card_says(photographs: Path) -> None:
    identifier = Identifier.load(SHIPPED)
    with (photographs / "photos.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    results = identifier.identify_many(photographs / "photos" / row["file"] for row in rows)
    answers = [result.identify_label for result in results if isinstance(result, Identification)]
    right = [answer == row["label"] for answer, row in zip(answers, rows, strict=True)]
    assert np.mean(right) == pytest.approx(identifier.card.provenance["accuracy"]["validation"], abs=0.005)
    assert np.mean(right) >= 0.955


def test_photographs_as_they_were_found(photographs: Path) -> None:
    paths = sorted((photographs / "originals").iterdir())
    assert len(paths) == 17
    for path in paths:
        full = decode(path)
        assert full.mode == "RGB" and min(full.size) >= 32
        small = decode(path, at_least=192)
        assert min(small.size) >= min(192, *full.size)
    results = list(Identifier.load(SHIPPED).identify_many(paths))
    assert all(isinstance(result, Identification) for result in results)


def test_the_csv_of_the_photographs_is_read_as_it_stands(photographs: Path) -> None:
    data = scan(photographs / "photos.csv", sizes=[32], share=0.15, seed=0)
    assert (len(data.in_split("train")), len(data.in_split("validation"))) == (1442, 262)
    assert not [line for line in data.report if "left out" in line]


def test_a_split_of_our_own_keeps_known_duplicates_together(photographs: Path) -> None:
    data = scan(photographs / "photos", sizes=[32], share=0.15, seed=0)
    with (photographs / "photos.csv").open(newline="") as file:
        group = {row["file"]: row["duplicate_group"] for row in csv.DictReader(file)}
    sides: dict[str, set[str]] = {}
    for record in data.pictures:
        sides.setdefault(group[record.file], set()).add(record.split)
    assert len(sides) == 1596 and all(len(names) == 1 for names in sides.values())
    assert any("left out 46 exact copies" in line for line in data.report) and len(data.pictures) == 1658
    assert 0.14 < len(data.in_split("validation")) / 1658 < 0.16
