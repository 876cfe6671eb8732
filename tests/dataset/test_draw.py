"""The sample data set is drawn whole or not at all, the same every time, and shows what it says."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dataset.drawing.draw import LABELS, draw_dataset, draw_picture
from fruitcnn.errors import DatasetError
from tests.conftest import REPOSITORY

SIZE = 48


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(label: str, seed: int) -> NDArray[np.uint8]:
    return np.asarray(draw_picture(label, np.random.default_rng(seed), SIZE))


def test_the_files_lie_in_a_folder_per_label_and_open_at_the_size_asked_for(tmp_path: Path) -> None:
    paths = draw_dataset(tmp_path / "sample", per_class=2, size=SIZE)

    expected = [tmp_path / "sample" / label / f"{label}_{k:03}.jpg" for label in LABELS for k in range(2)]
    assert paths == expected
    assert sorted(path for path in (tmp_path / "sample").rglob("*.*")) == sorted(expected)
    for path in paths:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (SIZE, SIZE))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        draw_dataset(tmp_path / name, per_class=2, size=SIZE, seed=seed)

    first, again, other = (contents(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_a_picture_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "few", per_class=1, size=SIZE)
    draw_dataset(tmp_path / "more", per_class=3, size=SIZE)

    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    assert few.items() <= more.items()
    assert len(set(more.values())) == len(more) == 9


def test_an_empty_folder_is_filled_and_missing_parents_are_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    draw_dataset(tmp_path / "empty", per_class=1, size=32)
    draw_dataset(tmp_path / "a" / "b", per_class=1, size=32)

    assert contents(tmp_path / "empty") == contents(tmp_path / "a" / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty"]


def test_the_current_folder_can_be_named_with_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    draw_dataset(Path(), per_class=1, size=32)

    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(LABELS)


def test_what_is_there_already_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder, file = tmp_path / "taken", tmp_path / "file"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    file.write_text("mine too")
    before = contents(tmp_path)

    for out in (folder, file):
        with pytest.raises(DatasetError, match="is there already") as caught:
            draw_dataset(out, per_class=1, size=32)
        assert caught.value.value == out
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("per_class", "size", "named"), [(0, 64, "per_class 0"), (-1, 64, "per_class -1"), (1, 31, "31"), (1, 1025, "1025")]
)
def test_unreasonable_numbers_are_refused_before_anything_is_written(
    tmp_path: Path, per_class: int, size: int, named: str
) -> None:
    with pytest.raises(DatasetError, match=named) as caught:
        draw_dataset(tmp_path / "out", per_class=per_class, size=size)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_args: object, **_options: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="no space left"):
        draw_dataset(tmp_path / "out", per_class=1, size=32)
    assert list(tmp_path.iterdir()) == []


def test_the_same_chance_shows_each_fruit_in_the_same_place() -> None:
    """Background, light and style are drawn without regard to the label, so the corners tend to agree across labels."""
    corners = np.array([[pixels(label, seed)[:3, :3].mean(axis=(0, 1)) for label in LABELS] for seed in range(24)])
    across_labels = np.abs(corners[:, 0] - corners[:, 1]).mean()
    across_seeds = np.abs(corners[1:, 0] - corners[:-1, 0]).mean()
    assert across_labels < 0.6 * across_seeds


def test_the_pictures_are_in_colour_and_full_of_contrast() -> None:
    for label in LABELS:
        for seed in range(8):
            picture = pixels(label, seed)
            assert picture.dtype == np.uint8
            assert picture.shape == (SIZE, SIZE, 3)
            assert picture.std() > 10


def test_the_program_draws_the_sample_set_and_tells_mistakes_in_a_line(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dataset.drawing", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    out = str(tmp_path / "sample")
    done = run(out, "--per-class", "1")
    assert (done.returncode, done.stdout) == (0, f"3 pictures in {out}\n"), done.stderr
    shipped = contents(REPOSITORY / "dataset" / "sample")
    drawn = contents(tmp_path / "sample")
    assert drawn.keys() == {f"{label}/{label}_000.jpg" for label in LABELS}
    for name in drawn:
        # Not the bytes: JPEG encoders differ a little from one version to the next.
        views = [np.asarray(Image.open(io.BytesIO(files[name])), np.int16) for files in (drawn, shipped)]
        assert np.abs(views[0] - views[1]).mean() < 2, name
    again = run(out)
    assert again.returncode == 1 and again.stderr.strip() == f"dataset.drawing: {out}: is there already; " + (
        "name a folder that does not exist, or an empty one"
    )
    assert run(out, "--seed", "-1").returncode == 2
