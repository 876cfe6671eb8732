"""The shipped model, and the real photographs where they are beside the repository."""

import collections
import csv
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from fruitcnn import Identification, Identifier
from fruitcnn.checkpoint import FILES, OF_EPOCHS, PREDICTIONS, REPORT, SHIPPED
from fruitcnn.dataset.scan import scan
from fruitcnn.image import decode, is_picture, load_pixels, resize
from fruitcnn.model import TorchForward, keras
from tests.conftest import REPOSITORY, Run
from tests.export.test_export import CENSUS
from tests.predictions import read_predictions

SMALL = REPOSITORY / "checkpoints" / "fruits-small"


def test_the_shipped_model_is_whole_and_clean() -> None:
    assert SHIPPED is not None
    # Photographs may not travel, so that there is no report; nobody resumes it.
    assert {path.name for path in SHIPPED.iterdir()} - {"logs"} == set(FILES) - {*OF_EPOCHS, REPORT}
    graph = onnx.load(SHIPPED / "model.onnx", load_external_data=False).graph
    counts = {kind: [node.op_type for node in graph.node].count(kind) for kind in {n.op_type for n in graph.node}}
    # Five last layers answer together; evidence is of their mean.
    assert counts == collections.Counter(CENSUS["efficientnet_lite0"]) + collections.Counter(
        Gemm=5, Softmax=4, Add=4, Mul=1
    )
    assert (SHIPPED / "model.onnx").stat().st_size <= 15e6
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
    assert shipped == {"model.onnx", "card.json", "split.csv"}, "for identifying, and to tell training pictures"
    assert {"fruitcnn/configs/fruit_net.yaml", "fruitcnn/configs/quick.yaml", "fruitcnn/cli.py"} <= names
    assert not any(name.startswith("dataset/") or name.endswith(".jpg") for name in names)
    # Unpacked anywhere, it answers at once with its own model.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import fruitcnn; print(fruitcnn.__file__, fruitcnn.Identifier.load().card.labels)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in done.stdout and "'grape', 'pineapple', 'strawberry'" in done.stdout


def test_the_three_examples_of_the_original_system(photographs: Path, cli: Run) -> None:
    done = cli("identify", photographs / "examples", "--model", SHIPPED, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(row["file"]).stem: row["identify_label"] for row in rows} == {
        label: label for label in ("grape", "pineapple", "strawberry")
    }
    assert min(max(row["probabilities"].values()) for row in rows) >= 0.95


def test_pictures_of_other_things_are_unknown_to_the_shipped_model(photographs: Path) -> None:
    pictures = sorted(path for path in (photographs / "outside").rglob("*") if path.is_file() and is_picture(path))[::8]
    found = [one for one in Identifier.load(SHIPPED).identify_many(pictures) if isinstance(one, Identification)]
    assert len(found) > 40 and sum(one.identify_label == "unknown" for one in found) >= 0.95 * len(found)


def test_the_shipped_figures_are_those_of_its_predictions() -> None:
    """Out of fold: of pictures that the network which answered had not been trained on."""
    assert SHIPPED is not None
    predictions = read_predictions(SHIPPED / PREDICTIONS)
    rows = [row for row in predictions.rows if row.held_out]
    right = np.mean([predictions.labels[int(np.argmax(row.held_out))] == row.label for row in rows])
    assert len(rows) == 1575 and right >= 0.97
    assert right == pytest.approx(Identifier.load(SHIPPED).card.provenance["accuracy"]["held_out"], abs=5e-5)


def test_the_shipped_model_knows_the_photographs_and_its_evidence_is_its_logits(photographs: Path) -> None:
    identifier = Identifier.load(SHIPPED)
    with (photographs / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::17][:100]
    paths = [photographs / "photos" / row["file"] for row in rows]
    results = [one for one in identifier.identify_many(paths) if isinstance(one, Identification)]
    named = [
        one.labels[int(np.argmax(one.probabilities))] == row["label"] for one, row in zip(results, rows, strict=True)
    ]
    assert np.mean(named) >= 0.97
    assert np.mean([one.identify_label == "unknown" for one in results]) <= 0.08
    pixels = np.stack([load_pixels(path, identifier.card.size) for path in paths])
    session = onnxruntime.InferenceSession(SHIPPED / "model.onnx", providers=["CPUExecutionProvider"])
    image = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    probabilities, evidence = session.run(["probabilities", "evidence"], {"image": image})
    logits = evidence.mean((2, 3))
    # Of the mean of five layers, whose softmax is near the mean of theirs.
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert (
        np.abs(softmax - probabilities).mean() < 0.005 and np.mean(logits.argmax(1) == probabilities.argmax(1)) > 0.98
    )
    assert np.abs(logits - pooled_logits(SHIPPED / "model.keras", image)).max() < 1e-4


def pooled_logits(file: Path, image: np.ndarray) -> np.ndarray:
    """Logits [N, C] of a model in the usual order: pool the feature maps, then apply the last layer."""
    model = keras.saving.load_model(file, compile=False)
    last = model.get_layer("logit_maps")
    features = TorchForward(keras.Model(model.inputs[0], keras.layers.GlobalAveragePooling2D()(last.input))).eval()
    with torch.no_grad():
        found = torch.cat([features(batch) for batch in torch.from_numpy(image).split(10)]).numpy()
    kernel, bias = last.get_weights()
    return found @ kernel[0, 0] + bias


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


@pytest.mark.parametrize("model", [SHIPPED, SMALL], ids=["fruits", "fruits-small"])
def test_decoding_large_photographs_at_a_fraction_is_not_visible(photographs: Path, model: Path) -> None:
    large = sorted((photographs / "originals").glob("*.jp*g"))
    sources: list[bytes] = [path.read_bytes() for path in large]
    # The ones whose answers are the most delicate, enlarged, so that their sides are multiples of 2, 4 or neither.
    for name, factor in (("strawberry_2729.jpg", 14), ("strawberry_2729.jpg", 12), ("strawberry_1982.jpg", 5)):
        with Image.open(next((photographs / "photos").rglob(name))) as photo:
            enlarged, data = photo.resize((photo.width * factor, photo.height * factor)), io.BytesIO()
        enlarged.convert("RGB").save(data, "JPEG", quality=92)
        sources.append(data.getvalue())
    identifier = Identifier.load(model)
    size = identifier.card.size
    scaled, whole = (
        identifier.probabilities(np.stack(rows))
        for rows in zip(*((load_pixels(data, size), resize(decode(data), size)) for data in sources), strict=True)
    )
    assert len(sources) > 10 and 0 < np.abs(scaled - whole).max() <= 0.01


def test_the_csv_of_the_photographs_is_read_as_it_stands(photographs: Path) -> None:
    data = scan(photographs / "photos.csv", sizes=[32])
    assert (len(data.in_split("train")), len(data.in_split("validation"))) == (1442, 262)
    assert not [line for line in data.report if "left out" in line]


def test_a_split_of_our_own_keeps_known_duplicates_together(photographs: Path) -> None:
    data = scan(photographs / "photos", sizes=[32])
    with (photographs / "photos.csv").open(newline="") as file:
        group = {row["file"]: row["duplicate_group"] for row in csv.DictReader(file)}
    sides: dict[str, dict[str, str]] = {}
    for record in data.pictures:
        sides.setdefault(group[record.file], {})[record.split] = record.file
    torn = {file for files in sides.values() if len(files) > 1 for file in files.values()}
    # To the second look these are different ones: a drawing and a coloured one, and two with a mark on one of them.
    drawn, marked = {"grape/grape_1221.jpg", "grape/grape_2389.jpg"}, {"grape/grape_2990.jpg", "grape/grape_701.jpg"}
    assert len(sides) == 1596
    assert torn <= drawn | marked | {"strawberry/strawberry_3410.jpg", "strawberry/strawberry_3508.jpg"}
    assert any("left out 46 exact copies" in line for line in data.report) and len(data.pictures) == 1658
    assert 0.14 < len(data.in_split("validation")) / 1658 < 0.16


def test_the_small_model_is_whole_and_knows_the_examples(photographs: Path) -> None:
    assert (SMALL / "model.onnx").stat().st_size <= 6e6
    probabilities, targets = read_predictions(SMALL / PREDICTIONS).readable("validation").arrays()
    assert len(targets) == 262 and (probabilities.argmax(1) == targets).mean() >= 0.97
    results = list(Identifier.load(SMALL).identify_many(sorted((photographs / "examples").iterdir())))
    found = [(Path(one.file).stem, one.identify_label, max(one.probabilities)) for one in results]  # type: ignore[union-attr]
    assert all(name == label and share >= 0.95 for name, label, share in found)
