"""The small inputs that lie beside this repository: each as their index says is right. Skips where they are not."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fruitcnn
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError
from fruitcnn.image import Pixels, load_pixels, opened, picture
from tests.conftest import REPOSITORY, Run

CASES = REPOSITORY.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this repository")


def grey(pixels: Pixels) -> np.ndarray:
    return pixels.astype(float).mean(2)


def answers(cli: Run, *paths: Path) -> list[dict[str, str]]:
    done = cli("identify", *paths, "--model", REPOSITORY / "checkpoints/fruits", "--format", "json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_cases_of_labels(tmp_path: Path) -> None:
    """The same order of classes in every process; labels that look alike are refused."""
    script = f"from fruitcnn.dataset.scan import scan; from pathlib import Path; print(scan(Path({str(CASES / 'labels_tie')!r}), sizes=[16]).labels)"  # noqa: E501
    orders = {
        subprocess.run([sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(REPOSITORY)},
                       capture_output=True, text=True, check=True).stdout
        for seed in "0123"
    }  # fmt: skip
    assert orders == {"['001', '01', '1']\n"} or orders == {"['1', '01', '001']\n"}
    with pytest.raises(DatasetError, match="grape"):
        scan(CASES / "labels_alike", sizes=[16])
    with pytest.raises(DatasetError, match=r"\\u200b"):
        scan(CASES / "csv/zero_width.csv", sizes=[16])


def test_cases_of_folders(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"training_set"):
        scan(CASES / "wrong_level", sizes=[16])
    assert any(
        "2 files that are not labelled pictures" in line for line in scan(CASES / "loose_in_split", sizes=[16]).report
    )
    for folder in (CASES / "system_folders").iterdir():
        found = scan(folder, sizes=[16])
        assert len(found.labels) >= 2 and any("hidden and system file" in line for line in found.report), folder


@pytest.mark.parametrize("name", ["header_space", "semicolon", "tab", "backslash", "dup_dotslash", "split_some"])
def test_cases_of_csv(name: str) -> None:
    """Read with all their pictures, or an error that names what was found."""
    file = CASES / "csv" / f"{name}.csv"
    named = {
        "dup_dotslash": "listed twice",
        "backslash": "backslash",
        "semicolon": ";",
        "tab": "tab",
        "split_some": "blank",
    }
    try:
        found = scan(file, sizes=[16])
    except DatasetError as error:
        assert named.get(name, "?") in str(error), error
    else:
        rows = [line for line in file.read_text().splitlines() if line.strip()]
        assert name != "dup_dotslash" and len(found.pictures) == len(rows) - 1


@pytest.mark.parametrize(
    "name", ["same_shape_other_colour", "same_shape_other_colour.csv", "traffic_light", "two_clips"]
)
def test_cases_of_pictures_that_look_alike_end_in_a_run(name: str, tmp_path: Path) -> None:
    """As different pictures: of each class on both sides or, where they are few, each judged by a layer without it."""
    run = fruitcnn.train(CASES / name, name=tmp_path / "run", size=64)
    with (run.folder / "split.csv").open(newline="") as file:
        counts = Counter((row["label"], row["split"]) for row in csv.DictReader(file))
    labels = {label for label, _ in counts}
    assert len(labels) >= 2 and all(counts[label, "train"] > 1 for label in labels)
    is_held_out = all(counts[label, "validation"] for label in labels)
    assert is_held_out or run.metrics["held_out"]["images"] == sum(counts.values())
    assert 0.05 < run.identifier.card.temperature < 20


def test_cases_of_tiff(cli: Run) -> None:
    right = np.asarray(Image.fromarray(load_pixels(CASES / "tiff/right.png", 64)).convert("L"), float)
    rows = {Path(row["file"]).name: row for row in answers(cli, CASES / "tiff")}
    assert "5 bands" in rows["bands5.tif"]["error"] and "TIFF" in rows["bands5.tif"]["error"]
    for name in ("gray16_white_is_zero", "gray_uint32", "gray12in16"):
        row = rows[f"{name}.tif"]
        exact = "error" not in row and np.abs(grey(load_pixels(CASES / f"tiff/{name}.tif", 64)) - right).mean() < 1
        assert exact or row.get("warning") or row.get("error"), row
    row = rows["rgb16_planar.tif"]
    assert "error" in row or np.abs(grey(load_pixels(CASES / "tiff/rgb16_planar.tif", 64)) - right).mean() < 1


def test_cases_of_damage_and_colour(cli: Run) -> None:
    rows = {Path(row["file"]).name: row for row in answers(cli, CASES / "damaged")}
    assert all(rows[name].get("warning") or rows[name].get("error") for name in ("cut_half_eoi.jpg", "mid_corrupt.jpg"))
    assert "identify_label" in rows["cut_last2.jpg"] and "warning" not in rows["cut_last2.jpg"]
    (swapped,) = answers(cli, CASES / "icc")
    # Of the red, green and blue that it stands for, a bunch of grapes.
    assert swapped["identify_label"] == "grape"
    assert load_pixels(CASES / "blank_first/gif_blank_first.gif", 32).std() > 5


def test_cases_of_a_phone(cli: Run) -> None:
    done = cli("identify", CASES / "phone", "--model", REPOSITORY / "checkpoints/fruits", "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 5 and done.returncode == (3 if any("error" in row for row in rows) else 0)


def test_cases_of_a_phones_budget() -> None:
    held = []
    for name in ("flat.jpg", "flat_mpo.jpg"):
        before = picture._budget._left
        with opened(CASES / "mpo_budget" / name):
            held.append(before - picture._budget._left)
    assert held[0] == held[1] > 100_000_000
