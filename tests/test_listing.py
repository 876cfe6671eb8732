"""Which files count as pictures, and in which order."""

import itertools
from pathlib import Path

import pytest
from PIL import Image

from fruitcnn.listing import find_pictures, natural_key


def test_natural_order() -> None:
    names = ["b/1.jpg", "grape_10.jpg", "Grape_2.jpg", "grape_1.jpg", "7", "a10b2", "a10b10", "a9"]
    wanted = ["7", "a9", "a10b2", "a10b10", "b/1.jpg", "grape_1.jpg", "Grape_2.jpg", "grape_10.jpg"]
    assert sorted(names, key=natural_key) == wanted


def test_the_natural_order_is_total() -> None:
    names = ["01", "1", "001", "1.00", "1.0", "\u0661", "A", "a", "stra\u00dfe", "strasse", "9" * 5000, "8" * 5000]
    wanted = ["001", "01", "1", "\u0661", "1.0", "1.00", "8" * 5000, "9" * 5000, "A", "a", "strasse", "stra\u00dfe"]
    for order in itertools.islice(itertools.permutations(names), 0, 400_000, 9_973):
        assert sorted(order, key=natural_key) == wanted


def test_pictures_by_content_or_extension_and_nothing_hidden(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    picture = Image.new("RGB", (8, 8))
    for name in ("b.png", "sub/c.png", ".a.png", ".hidden/d.png"):
        picture.save(tmp_path / name)
    picture.save(tmp_path / "no_extension", "JPEG")
    (tmp_path / "broken.jpg").write_bytes(b"")
    for name in ("notes.txt", "Thumbs.db"):
        (tmp_path / name).write_text("x")

    pictures, others = find_pictures(tmp_path)

    def names(paths: list[Path]) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in paths]

    assert names(pictures) == ["b.png", "broken.jpg", "no_extension", "sub/c.png"]
    assert names(others) == [".a.png", ".hidden", "notes.txt", "Thumbs.db"]


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"])
def test_folders_of_the_system_stay_closed(name: str, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "deep" / name, tmp_path / name):
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / "a.png")
    pictures, others = find_pictures(tmp_path)
    assert pictures == [tmp_path / "a.png"]
    assert sorted(others) == sorted([tmp_path / name, tmp_path / "deep" / name])


def test_a_folder_that_is_reached_both_ways_keeps_the_name_that_it_has_without_the_link(tmp_path: Path) -> None:
    for name in ("m", "z"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "n").symlink_to("m")
    assert find_pictures(tmp_path)[0] == [tmp_path / "m" / "1.png", tmp_path / "z" / "1.png"]
