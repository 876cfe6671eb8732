"""From folders and CSVs to checked, decoded, split sets."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.scan import apply_split, scan
from fruitcnn.dataset.sources import read_listing
from fruitcnn.dataset.split import assign_split, duplicate_groups
from fruitcnn.errors import DatasetError


def picture(seed: int, side: int = 48) -> Image.Image:
    """Smooth noise: something that perceptual hashes can tell apart."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def make_classes(root: Path, counts: dict[str, int], *, first: int = 0) -> Path:
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            first += 1
            picture(first).save(root / label / f"{label}_{number}.png")
    return root


def read(data: Path, **options: object) -> Dataset:
    return scan(data, **{"sizes": [32], "share": 0.25, "seed": 0, **options})


def test_a_folder_of_classes(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "data", {"apple": 8, "pear": 12})
    (root / "apple" / "deep").mkdir()
    picture(99).save(root / "apple" / "deep" / "x.png")
    for junk in ("Thumbs.db", ".DS_Store", "notes.txt", "pear/readme.md"):
        (root / junk).write_text("x")
    (root / "pear" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))

    data = read(root)

    assert data.labels == ["apple", "pear"] and len(data.pictures) == 21
    assert "apple/deep/x.png" in [record.file for record in data.pictures]
    report = "\n".join(data.report)
    assert "broken.jpg: " in report and "2 files that are not labelled pictures" in report
    assert "2 hidden and system files" in report
    assert before == sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")), "nothing may be touched"


@pytest.mark.parametrize(("validation", "test"), [("validation", None), ("val", "test"), ("valid", "testing")])
def test_a_folder_of_splits(validation: str, test: str | None, tmp_path: Path) -> None:
    folders = {"train": 6, validation: 2, **({test: 3} if test else {})}
    for index, (name, count) in enumerate(folders.items()):
        make_classes(tmp_path / name, {"apple": count, "pear": count}, first=100 * index)
    data = read(tmp_path)
    assert data.labels == ["apple", "pear"]
    assert [len(data.in_split(name)) for name in ("train", "validation", "test")] == [12, 4, 6 if test else 0]


def test_train_and_test_without_validation_takes_it_from_train(tmp_path: Path) -> None:
    for index, (name, count) in enumerate({"train": 8, "test": 3}.items()):
        make_classes(tmp_path / name, {"apple": count, "pear": count}, first=100 * index)
    data = read(tmp_path)
    assert [len(data.in_split(name)) for name in ("train", "validation", "test")] == [12, 4, 6]
    assert all(record.file.startswith("test/") == (record.split == "test") for record in data.records)


@pytest.mark.parametrize("beside", [True, False])
def test_csv_with_paths_in_its_own_folder_or_in_a_sibling_of_its_name(beside: bool, tmp_path: Path) -> None:
    make_classes(tmp_path / "photos" if beside else tmp_path, {"apple": 4, "pear": 4})
    rows = [f"{label}/{label}_{n}.png,{label},{split}" for label in ("apple", "pear") for n, split in enumerate(
        ["train", "train", "val", "test"]
    )]  # fmt: skip
    path = tmp_path / "photos.csv"
    path.write_text("\ufefffile,label,split\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = read(path)
    assert [record.split for record in data.records] == ["train", "train", "validation", "test"] * 2
    assert data.records[0].file == "apple/apple_0.png"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "must name file and label"),
        ("", "must name file and label"),
        ("file,label\na.png,\n", "line 2: has no file or no label"),
        ("file,label,split\na.png,x,train\nb.png,x,later\n", "line 3: unknown split 'later'"),
        ("file,label\na.png,x\na.png,y\n", "listed twice"),
        ("file,label\n\udcff,x\n", "can't be read as CSV"),
    ],
)
def test_csv_mistakes_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DatasetError, match=message):
        read_listing(path)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"apple": 5}, r"two classes or more.*apple 5"),
        ({"apple": 5, "pear": 0}, r"no readable picture in: pear.*apple 5, pear 0"),
        ({"apple": 5, "pear": 1}, r"'pear' is too small to split"),
        ({"apple": 5, "Apple": 5}, r"letter case: (Apple, apple|apple, Apple)"),
        ({}, "has no class folders"),
    ],
)
def test_sets_that_can_not_be_trained_on(counts: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read(make_classes(tmp_path, counts))


def test_paths_that_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "data.zip").touch()
    for name, message in (("data.zip", "neither a folder"), ("nowhere", "no such folder")):
        with pytest.raises(DatasetError, match=message):
            read(tmp_path / name)


def test_near_duplicates_and_mirror_images_stay_on_one_side(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 12, "pear": 12})
    for number in range(8):
        original = Image.open(root / f"apple/apple_{number}.png")
        original.resize((37, 31)).convert("RGB").save(root / f"apple/smaller_{number}.jpg", quality=70)
        ImageOps.mirror(original).save(root / f"apple/mirror_{number}.png")
    for seed in range(6):
        data = read(root, seed=seed)
        side = {record.file: record.split for record in data.records}
        for number in range(8):
            names = (f"apple/apple_{number}.png", f"apple/smaller_{number}.jpg", f"apple/mirror_{number}.png")
            assert len({side[name] for name in names}) == 1, (seed, names)
        assert not any("near-duplicates" in line for line in data.report)


def test_a_given_split_that_leaks_is_reported(tmp_path: Path) -> None:
    for index, name in enumerate(("train", "val")):
        make_classes(tmp_path / name, {"apple": 3, "pear": 3}, first=100 * index)
    shutil.copy(tmp_path / "train/apple/apple_0.png", tmp_path / "val/apple/again.png")
    assert any("1 pictures have near-duplicates in another split" in line for line in read(tmp_path).report)


def test_the_split_is_stratified_seeded_and_independent_of_order() -> None:
    labels = ["a"] * 40 + ["b"] * 20 + ["c"] * 4
    groups = np.arange(64)
    split = assign_split(labels, groups, share=0.25, seed=0)
    taken = [sum(s == "validation" for s, name in zip(split, labels, strict=True) if name == label) for label in "abc"]
    assert taken == [10, 5, 1]
    assert split == assign_split(labels, groups, share=0.25, seed=0)
    assert split != assign_split(labels, groups, share=0.25, seed=1)


def test_duplicate_groups_are_transitive_and_join_known_ones() -> None:
    near = np.uint64(0b1111)
    far = np.uint64(0xFFFF_0000_FFFF_0000)
    hashes = np.array([[0, 0], [near, near], [far, far], [near << np.uint64(8), 0]], np.uint64)
    hashes[:, 1] = np.uint64(0xAAAA_AAAA_AAAA_AAAA)
    assert duplicate_groups(hashes).tolist() == [0, 0, 2, 0]
    assert duplicate_groups(hashes, known=["x", None, "x", None]).tolist() == [0, 0, 0, 0]


def test_a_saved_split_is_used_and_a_changed_file_noticed(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "data", {"apple": 8, "pear": 8})
    saved = tmp_path / "split.csv"
    data = read(root)
    saved.write_text(data.split_csv())
    with saved.open() as file:
        assert list(csv.DictReader(file).fieldnames or []) == ["file", "sha256", "label", "split"]

    assert apply_split(read(root, seed=5), saved).records == data.records
    picture(1234).save(root / "pear" / "pear_0.png")
    with pytest.raises(DatasetError, match=r"1 files are not those of the run, pear/pear_0\.png first"):
        apply_split(read(root), saved)
