"""Pictures sorted into folders by their answers: nothing is lost or overwritten, and a list says what went where."""

import csv
import os
from pathlib import Path

import pytest

from fruitcnn.errors import FruitcnnError, UsageError
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.sort import Sorter
from fruitcnn.names import free_name, safe_name
from tests.conftest import Run
from tests.tiny import write_picture, write_tiny_model

RED, GREEN, DARK = (240, 60, 60), (60, 240, 60), (40, 0, 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path / "tiny.onnx")
    photos = tmp_path / "photos"
    write_picture(photos / "a" / "one.png", RED)
    write_picture(photos / "b" / "one.png", GREEN)
    write_picture(photos / "c" / "ONE.png", RED)
    write_picture(photos / "d" / "one.png", DARK)
    (photos / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    os.utime(photos / "a" / "one.png", ns=(10**18, 10**18))
    return photos


def test_each_picture_goes_into_the_folder_of_its_answer(cli: Run, photos: Path, tmp_path: Path) -> None:
    before = _contents(photos)
    arguments = ("photos", "-", "missing.png", "--model", "tiny.onnx", "--sort", "sorted")
    done = cli("identify", *arguments, stdin=(photos / "b" / "one.png").read_bytes())
    assert done.returncode == 3, done.stderr
    assert _contents(photos) == before
    sources = {
        "red/one.png": "a/one.png",
        "red/ONE-2.png": "c/ONE.png",
        "green/one.png": "b/one.png",
        "green/standard input.png": "b/one.png",
        "unknown/one.png": "d/one.png",
        "rejected/e.png": "e.png",
    }
    sorted_to = _contents(tmp_path / "sorted")
    listed = sorted_to.pop("sorted.csv")
    assert sorted_to == {name: before[source] for name, source in sources.items()}
    assert (tmp_path / "sorted/red/one.png").stat().st_mtime_ns == 10**18, "photographs are found by their dates"
    rows = {row["file"]: row for row in csv.DictReader(listed.decode().splitlines())}
    assert rows["photos/c/ONE.png"] == {
        "file": "photos/c/ONE.png", "identify_label": "red", "sorted_to": "red/ONE-2.png", "error": ""
    }  # fmt: skip
    assert rows["photos/e.png"]["identify_label"] == "rejected" and "broken" in rows["photos/e.png"]["error"]
    assert rows["missing.png"]["sorted_to"] == "" and "no such file" in rows["missing.png"]["error"]
    assert {row["sorted_to"] for row in rows.values()} == {*sources, ""}


def test_links_point_to_the_pictures(cli: Run, photos: Path, tmp_path: Path) -> None:
    before = _contents(photos)
    done = cli("identify", "photos", "-", "--model", "tiny.onnx", "--sort", "s", "--link", stdin=before["b/one.png"])
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "s/red/one.png").readlink() == photos / "a/one.png"
    assert (tmp_path / "s/rejected/e.png").readlink() == photos / "e.png"
    assert not (tmp_path / "s/green/standard input.png").is_symlink()
    assert _contents(photos) == before


def test_only_into_a_folder_of_its_own(photos: Path, tmp_path: Path) -> None:
    def refused(message: str, **options: object) -> None:
        request = Request(model=str(tmp_path / "tiny.onnx"), **options)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=message):
            identify_paths([str(photos)], request)

    before = _contents(tmp_path)
    refused("is not an empty folder", sort=photos)
    refused("is not an empty folder", sort=photos / "e.png")
    refused("no such folder", sort=tmp_path / "no" / "where")
    refused("add --sort", link=True)
    refused("is named twice", sort=tmp_path / "x", explain=tmp_path / "x")
    (tmp_path / "y").mkdir()
    refused("for pictures alone", sort=tmp_path / "y", output=tmp_path / "y" / "red")
    assert _contents(tmp_path) == before


def test_labels_that_are_no_names_of_folders(tmp_path: Path) -> None:
    labels = ("..", "a/b", "A/B", "rejected", "nul", ".hidden", "sorted.csv", "\u00e9t\u00e9", "x" * 300)
    picture = write_picture(tmp_path / "one.png", RED)
    with Sorter(tmp_path / "s", labels, link=False) as sorter:
        for index in range(len(labels)):
            probabilities = tuple(float(index == other) for other in range(len(labels)))
            sorter.place(str(picture), Identification(f"{index}.png", labels, probabilities))
        sorter.place(str(picture), Rejection("one.png", "broken"))
    folders = ["_", "a_b", "A_B-2", "rejected-2", "_nul", "_.hidden", "sorted-2.csv", "\u00e9t\u00e9", "x" * 255]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted([*folders, "rejected", "sorted.csv"])
    rows = list(csv.DictReader((tmp_path / "s" / "sorted.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["sorted_to"] for row in rows] == [f"{folder}/one.png" for folder in (*folders, "rejected")]


def test_what_has_come_meanwhile_stays(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "one.png", RED)
    for link in (False, True):
        folder = tmp_path / f"s{link}"
        with Sorter(folder, ("red",), link=link) as sorter:
            (folder / "red").mkdir()
            (folder / "red" / "one.png").write_text("another's")
            with pytest.raises(FruitcnnError, match="something else has this name"):
                sorter.place(str(picture), Identification("one.png", ("red",), (1.0,)))
        assert [path.read_text() for path in (folder / "red").iterdir()] == ["another's"]


def test_names_are_free_whatever_the_file_system_takes_for_the_same() -> None:
    taken: set[str] = set()
    names = [free_name(name, taken) for name in ("a.png", "A.PNG", "a.png", "\u00e9.png", "e\u0301.png", "y" * 255)]
    assert names == ["a.png", "A-2.PNG", "a-3.png", "\u00e9.png", "e\u0301-2.png", "y" * 255]
    assert free_name("y" * 255, taken) == "y" * 253 + "-2"
    assert [safe_name(text) for text in ("", " . ", "a:b", "com1.x", "a\nb")] == ["_", "_", "a_b", "_com1.x", "a_b"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
