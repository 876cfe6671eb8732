"""Small and odd data sets, of which calibration must make what can be made, and say what can't."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset.drawing.draw import draw_dataset
from fruitcnn import checkpoint, load_config
from fruitcnn.calibration.held_out import assign_folds
from fruitcnn.dataset.labels import RESERVED
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError
from fruitcnn.runs.calibrate import remarks_on_folds, training_folds
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from tests.conftest import skip_export
from tests.predictions import read_predictions


def listed(folder: Path, groups: dict[str, str], per_class: int = 10) -> Path:
    """A list of drawn pictures whose classes are one group of near-duplicates each, where `groups` names one."""
    draw_dataset(folder / "data", per_class=per_class, size=40, seed=3)
    rows = ["file,label,split,duplicate_group"]
    for path in sorted((folder / "data").rglob("*.jpg")):
        label, number = path.parent.name, int(path.stem[-3:])
        split = "validation" if number % 5 == 0 else "train"
        group = groups.get(label, f"{label}{number}")
        rows.append(f"data/{label}/{path.name},{label},{split},{group}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


def folds_by_class(data: Dataset) -> tuple[list[int], list[str]]:
    """In how many of five folds each class's training pictures lie, and what is said of it."""
    folds = training_folds(data, 5, seed=0)
    targets = data.targets(TRAIN)
    return [len(np.unique(folds[targets == label])) for label in range(3)], remarks_on_folds(data, folds)


def test_a_class_that_is_one_group_of_near_duplicates_lies_in_every_fold_and_is_said_to(tmp_path: Path) -> None:
    data = scan(listed(tmp_path, {"grape": "clip"}), sizes=[32])
    counts, remarks = folds_by_class(data)
    assert counts == [5, 5, 5] and len(remarks) == 1
    assert "most training pictures of grape are near-duplicates of each other" in remarks[0]


def test_a_set_without_near_duplicates_has_no_warning_of_them(tmp_path: Path) -> None:
    data = scan(listed(tmp_path, {}), sizes=[32])
    assert folds_by_class(data) == ([5, 5, 5], [])


def test_a_class_of_one_training_picture_is_said_to_be_none_that_calibrates(tmp_path: Path) -> None:
    folds = assign_folds(np.array([0] * 9 + [1]), np.arange(10), folds=5, seed=0)
    assert len(np.unique(folds[:9])) == 5
    path = listed(tmp_path, {}, per_class=6)
    kept = [row for row in path.read_text().split("\n") if "grape_00" not in row or row.partition(",")[0][-5] in "01"]
    path.write_text("\n".join(kept))
    counts, remarks = folds_by_class(scan(path, sizes=[32]))
    assert counts[0] == 1 and len(remarks) == 1 and "only one training picture of grape" in remarks[0]


def test_a_set_whose_training_pictures_are_all_near_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two colours of one shape, or one thing filmed: a model is fitted, and the warning names the classes."""
    skip_export(monkeypatch)
    for label, colour in (("ripe", (200, 30, 30)), ("unripe", (40, 180, 40))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((40, 40, 3), 250, np.uint8)
            pixels[8:32, 8:32] = np.array(colour) - 4 * number
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}.png")
    rows = [
        f"data/{label}/{n}.png,{label},{'train' if n % 3 else 'validation'}"
        for label in ("ripe", "unripe")
        for n in range(6)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["file,label,split", *rows]))
    said: list[str] = []
    config = load_config("features", ["data.size=32"], data=tmp_path / "list.csv")
    run = train_config(config, Claim(root=tmp_path / "runs"), device="cpu", print_line=said.append)
    found = read_predictions(run / checkpoint.PREDICTIONS).rows
    assert all(len(row.held_out) == 2 for row in found if row.split == TRAIN)
    assert any("most training pictures of ripe, unripe are near-duplicates" in line for line in said)


@pytest.mark.parametrize("label", [*RESERVED, "Unknown", " File"])
def test_a_class_called_like_a_column_or_a_refusal(label: str, tmp_path: Path) -> None:
    draw_dataset(tmp_path, per_class=2, size=40, seed=3)
    (tmp_path / "grape").rename(tmp_path / label)
    with pytest.raises(DatasetError, match=f"classes may not be called '{label.strip()}'.*; rename the class"):
        scan(tmp_path, sizes=[32])


def test_a_calibration_that_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All validation labels are wrong, and the network sure of the right ones: no temperature makes up for that."""
    skip_export(monkeypatch)
    draw_dataset(tmp_path / "data", per_class=10, size=40, seed=3)
    names = ["grape", "pineapple", "strawberry"]
    rows = ["file,label,split"]
    for path in sorted((tmp_path / "data").rglob("*.jpg")):
        validation = int(path.stem[-3:]) % 2 == 0
        turned = names[(names.index(path.parent.name) + 1) % 3] if validation else path.parent.name
        rows.append(f"data/{path.parent.name}/{path.name},{turned},{'validation' if validation else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    said: list[str] = []
    settings = ["data.size=32", "train.epochs=12", "train.batch_size=8", "train.best=last"]
    config = load_config("quick", settings, data=tmp_path / "list.csv")
    train_config(config, Claim(root=tmp_path / "runs"), device="cpu", print_line=said.append)
    (line,) = (line for line in said if line.startswith("warning: calibration"))
    assert "ends at its bound (temperature 20): the network is surer than it is right" in line
