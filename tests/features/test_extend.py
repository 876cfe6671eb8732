"""A class more without the old pictures: what is kept of them stands in their place."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fruitcnn import Identifier, checkpoint, export_checkpoint, load_config
from fruitcnn.errors import ConfigError, DatasetError, UsageError
from fruitcnn.export.photographs import read_photographs
from fruitcnn.features.kept import KeptFeatures
from fruitcnn.labelling.label_next import Request, label_next
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from tests.conftest import skip_export
from tests.predictions import read_predictions


def train(data: Path, root: Path, name: str, **settings: object) -> tuple[Path, str]:
    """The folder of a run, and what it printed."""
    told: list[str] = []
    keys = {f"data.{key}": value for key, value in {"size": 64, **settings}.items()}
    config = load_config("features", [f"{key}={value}" for key, value in keys.items()], data=data)
    folder = train_config(config, Claim(name=name, root=root), print_line=told.append)
    return folder, "\n".join(told)


@pytest.fixture(scope="module")
def parts(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two classes of the drawn set, and the third with one picture of the first two and one that is new."""
    root = tmp_path_factory.mktemp("parts")
    old, new = root / "old", root / "new"
    for label in ("grape", "pineapple"):
        shutil.copytree(drawn / label, old / label)
    shutil.copytree(drawn / "strawberry", new / "strawberry")
    later = sorted((old / "grape").iterdir())[-2:]
    (new / "grape").mkdir()
    for file in later:
        shutil.move(file, new / "grape" / file.name)
    shutil.copy(sorted((old / "grape").iterdir())[0], new / "grape" / "again.jpg")
    return old, new


@pytest.fixture(scope="module")
def kept(parts: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the old classes that keeps its features; its pictures are gone afterwards."""
    folder, _ = train(parts[0], tmp_path_factory.mktemp("runs"), "kept", keep_features="true")
    parts[0].rename(parts[0].with_name("elsewhere"))
    return folder


def test_an_extended_run_is_what_all_pictures_would_have_made(
    parts: tuple[Path, Path], kept: Path, tmp_path: Path
) -> None:
    folder, told = train(parts[1], tmp_path, "more", extend=kept)
    assert "29 pictures of kept are known by their features alone, 1 more is among the new ones" in told
    card = Identifier.load(folder).card
    assert card.labels == ("grape", "pineapple", "strawberry") and card.provenance["extends"] == "kept"
    # Every picture once, the old ones on the side that they were on.
    before = {row.split(",")[1]: row for row in (kept / checkpoint.SPLIT).read_text().splitlines()[1:]}
    after = {row.split(",")[1]: row for row in (folder / checkpoint.SPLIT).read_text().splitlines()[1:]}
    assert len(after) == 48 and len((folder / checkpoint.SPLIT).read_text().splitlines()) == 49
    moved = [key for key in before if before[key].split(",")[2:4] != after[key].split(",")[2:4]]
    assert len(moved) <= 1, "but for the one that came again"
    # The answers to the old pictures, out of the features that were kept, are those of the file to the pictures.
    rows = [row for row in read_predictions(folder / checkpoint.PREDICTIONS).rows if row.label == "pineapple"]
    pictures = [parts[0].with_name("elsewhere") / row.file for row in rows]
    answers = [Identifier.load(folder).identify(picture).probabilities for picture in pictures[:6]]
    assert np.abs(np.array(answers) - [row.probabilities for row in rows[:6]]).max() < 1e-4
    # And it can be extended in turn.
    again = KeptFeatures.load(folder)
    assert len(again.features) == 48 and sorted(set(again.labels.tolist())) == list(card.labels)


def test_a_smaller_file_is_not_made_where_old_pictures_are_missing(
    kept: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = train(parts[1], tmp_path, "wider", extend=kept)
    problem = r"must be shown to hold on all pictures of the run, and of those of .*kept it may have the features alone"
    with pytest.raises(DatasetError, match=problem + r" \(\d+ files are not as in the run: "):
        export_checkpoint(folder, formats=["int8"])


def test_a_run_that_extends_another_with_all_its_pictures_is_like_any_other(
    kept: Path, parts: tuple[Path, Path], drawn: Path, tmp_path: Path
) -> None:
    folder, _ = train(drawn, tmp_path, "grown", extend=kept)
    assert len(read_photographs(folder).pixels) > 0


def test_what_is_kept_is_features_and_no_pictures(kept: Path, parts: tuple[Path, Path]) -> None:
    found = KeptFeatures.load(kept)
    assert (
        found.features.shape == (30, 1280)
        and found.size == 64
        and set(found.splits.tolist()) <= {"train", "validation"}
    )
    assert (kept / checkpoint.KEPT).stat().st_size < 30 * 1280 * 4 + 40_000
    files = {row.split(",")[0]: row.split(",")[1] for row in (kept / checkpoint.SPLIT).read_text().splitlines()[1:]}
    assert dict(zip(found.files.tolist(), found.sha256.tolist(), strict=True)) == files


def test_differences_are_named_and_nothing_is_kept_unasked(
    parts: tuple[Path, Path], kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_export(monkeypatch)
    with pytest.raises(
        ConfigError, match=r"data.size is 96, it was trained at 64; add --size 64, or train with all pictures instead"
    ):
        train(parts[1], tmp_path, "other", size=96, extend=kept)
    config = load_config("features", ["data.size=64", "head.mirrored=true", f"data.extend={kept}"], data=parts[1])
    with pytest.raises(ConfigError, match=r"head.mirrored needs the pictures themselves"):
        train_config(config, Claim(name="mirrored", root=tmp_path), print_line=print)
    with pytest.raises(ConfigError, match="only where a head alone is fitted"):
        load_config("quick", ["data.keep_features=true"], data=parts[1])
    plain, _ = train(parts[0].with_name("elsewhere"), tmp_path, "plain")
    assert not (plain / checkpoint.KEPT).exists()
    with pytest.raises(UsageError, match=r"has no features.npz; train it with --set data.keep_features=true first"):
        train(parts[1], tmp_path, "none", extend=plain)
    assert not (tmp_path / "none").exists()
    shutil.copytree(kept, tmp_path / "foreign")
    found = KeptFeatures.load(kept)
    import dataclasses

    dataclasses.replace(found, path=tmp_path / "foreign" / checkpoint.KEPT, network="0" * 64).save()
    with pytest.raises(ConfigError, match="its features are of another network"):
        train(parts[1], tmp_path, "foreigner", extend=tmp_path / "foreign")
    assert json.loads((kept / checkpoint.CARD).read_text())["provenance"].get("extends") is None


def test_a_page_to_label_in_names_the_run_that_its_list_extends(
    kept: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    request = Request(model=str(kept), count=3, page=tmp_path / "next.html")
    assert label_next([parts[1] / "strawberry"], request) == 0
    assert f"fruitcnn train labelled.csv --extend {kept}" in (tmp_path / "next.html").read_text()
