"""Whether a new picture is nearly one of those that only hashes are left of: by a second look where there is one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.known import KnownPictures
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.features.extend import extended
from fruitcnn.features.kept import KeptFeatures
from tests.dataset.test_second_look import part


def write(folder: Path, label: str, pictures: list[Image.Image]) -> None:
    (folder / label).mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(folder / label / f"{number}.png")


def asked(known: KnownPictures, picture: Image.Image) -> int | None:
    look = np.asarray(picture.resize((LOOK_SIZE, LOOK_SIZE), Image.Resampling.BILINEAR))
    return known.nearly(perceptual_hashes(picture), lambda: look)


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Parts before a fixed camera, of two kinds, whose small pictures are in a cache of their own."""
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "before", "bad", [part(seed) for seed in range(1, 5)])
    write(tmp_path / "before", "good", [ImageOps.flip(part(seed)) for seed in range(5, 9)])
    return scan(tmp_path / "before", sizes=[32])


def test_a_second_look_decides_where_the_cache_has_one(
    before: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = np.array([record.hashes[0] for record in before.pictures], np.uint64)
    names = [record.sha256 for record in before.pictures]
    new, copy = part(9), ImageOps.mirror(part(3).resize((200, 200)))
    known = KnownPictures(hashes, names)
    assert asked(known, new) is None and asked(known, copy) == 2
    # Of another machine's pictures the hashes are all there is.
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "empty"))
    elsewhere = KnownPictures(hashes, names)
    assert asked(elsewhere, new) in range(4) and asked(elsewhere, copy) in range(4)
    assert asked(KnownPictures(hashes, ["no sha256"] * 8), new) in range(4)


def test_what_has_no_contrast_is_known_again_by_its_shade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))
    dark, light = Image.new("RGB", (64, 64), (120, 120, 120)), Image.new("RGB", (64, 64), (200, 200, 200))
    write(tmp_path / "before", "grey", [dark, part(1)])
    write(tmp_path / "before", "other", [part(2), part(3)])
    pictures = scan(tmp_path / "before", sizes=[32]).pictures
    hashes = np.array([record.hashes[0] for record in pictures], np.uint64)
    known = KnownPictures(hashes, [record.sha256 for record in pictures])
    found = asked(known, dark.resize((100, 100)))
    assert found is not None and pictures[found].file == "grey/0.png" and asked(known, light) is None


def test_new_pictures_go_beside_kept_ones_that_they_are_nearly(before: Dataset, tmp_path: Path) -> None:
    write(tmp_path / "new", "bad", [part(9), part(10), ImageOps.mirror(part(3).resize((200, 200)))])
    write(tmp_path / "new", "good", [ImageOps.flip(part(seed)) for seed in range(11, 14)])
    pictures = before.pictures
    kept = KeptFeatures(
        tmp_path / "features.npz",
        "a network",
        32,
        np.ones((8, 4), np.float32),
        np.array([record.file for record in pictures]),
        np.array([record.label for record in pictures]),
        np.array(["test" if number == 2 else "train" for number in range(8)]),
        np.arange(8),
        np.array([record.sha256 for record in pictures]),
        np.array([record.hashes for record in pictures], np.uint64),
    )
    found = extended(scan(tmp_path / "new", sizes=[32]), kept, "before")
    copy, *others = sorted(found.records[:6], key=lambda record: record.file != "bad/2.png")
    assert (copy.split, copy.group) == ("test", "before: 2")
    assert not any(str(record.group).startswith("before") for record in others)
