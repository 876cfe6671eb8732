"""From folders and CSVs to checked, decoded, split sets."""

import collections
import csv
import dataclasses
import hashlib
import os
import shutil
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fruitcnn.dataset import duplicates
from fruitcnn.dataset.duplicates import NEAR, WORTH_A_LOOK, duplicate_groups, near_pairs
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.saved_split import apply_split, write_split
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.sources import read_listing
from fruitcnn.dataset.split import SplitRules, assign_split, content_keys
from fruitcnn.errors import DatasetError
from fruitcnn.image import load_pixels
from fruitcnn.runs.calibrate import training_folds
from tests.conftest import REPOSITORY


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
    """Scanned at 32 px, a quarter of it for validation; options: of `scan` and of `SplitRules`."""
    rules = {name: options.pop(name) for name in ("calibration", "seed", "near_duplicates") if name in options}
    return scan(data, **{"sizes": [32], "rules": SplitRules(0.25, **rules), **options})


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


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"class 10": 4, "class 9": 4})
    assert read(root).labels == ["class 9", "class 10"]


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
        ("file,label\n\udcff,x\n", "line 2: is not UTF-8; save"),
        ("file,label\na\0.png,x\n", "line 2: the file's name has a NUL"),
        (f"file,label\n{'a' * 200_000},x\n", "can't be read as CSV .*field limit|can't be read as CSV .*larger than"),
        ("file,label\na.png,x\x1b[31m\n", "has characters that can't be shown"),
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
        ({"apple": 5, "Apple": 5}, r"letter case, blanks or invisible characters: 'Apple', 'apple'"),
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
    assert any(
        "2 pictures in 1 group of near-duplicates lie in several splits" in line for line in read(tmp_path).report
    )


def assigned(labels: list[str], groups: np.ndarray, *, seed: int = 0, first: int = 0, **options: object) -> list[str]:
    """The split of pictures whose contents are numbered from `first` on."""
    contents = [hashlib.sha256(str(first + number).encode()).hexdigest() for number in range(len(labels))]
    return assign_split(labels, groups, content_keys(contents, groups, str(seed)), **{"share": 0.15, **options})


def test_the_split_is_stratified_seeded_and_independent_of_order() -> None:
    labels = ["a"] * 40 + ["b"] * 20 + ["c"] * 4
    groups = np.arange(64)
    split = assigned(labels, groups, share=0.25)
    taken = [sum(s == "validation" for s, name in zip(split, labels, strict=True) if name == label) for label in "abc"]
    assert taken == [10, 5, 1]
    assert split != assigned(labels, groups, share=0.25, seed=1)
    keys = content_keys([str(number) for number in range(64)], groups, "")
    turned = assign_split(labels[::-1], groups, keys[::-1], share=0.25)
    assert turned[::-1] == assign_split(labels, groups, keys, share=0.25)


@pytest.mark.parametrize("sizes", [[1], [1, 1, 2, 3, 7]])
def test_one_picture_more_moves_at_most_one_other_group(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(120), rng.choice(sizes, 120))[:120]
    labels = [("a", "b", "c")[group % 3] for group in groups]
    moved = []
    for extra in range(100):
        keys = content_keys([str(number) for number in range(121)], np.r_[groups, 999], f"try {extra}")
        alone = assign_split(labels, groups, keys[:120], share=0.15)
        after = assign_split([*labels, "a"], np.r_[groups, 999], keys, share=0.15)
        moved.append(len({group for group, one, other in zip(groups, alone, after, strict=False) if one != other}))
        assert all(one == other for name, one, other in zip(labels, alone, after, strict=False) if name != "a")
        assert alone.count("validation") in range(13, 24)
    assert max(moved) == 1 and sum(moved) < 50


def test_the_side_of_a_picture_does_not_follow_from_names_or_from_the_other_classes(tmp_path: Path) -> None:
    one = read(make_classes(tmp_path / "one", {"apple": 12, "pear": 16}))
    make_classes(tmp_path / "other", {"fig": 30}, first=100)
    for number, record in enumerate(one.records):
        path = tmp_path / "other" / record.label / f"{97 * number % 31:02}.png"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(record.path, path)
    other = {record.sha256: record.split for record in read(tmp_path / "other").records}
    assert all(other[record.sha256] == record.split for record in one.records)


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
    write_split(data, saved)
    with saved.open() as file:
        assert list(csv.DictReader(file).fieldnames or []) == ["file", "sha256", "label", "split", "hash"]

    assert apply_split(read(root, seed=5), saved).pictures == data.pictures
    picture(1234).save(root / "pear" / "pear_0.png")
    with pytest.raises(DatasetError, match=r"1 file is not as in the run: pear/pear_0\.png; "):
        apply_split(read(root), saved)


def test_pictures_keep_the_sides_of_an_earlier_split(tmp_path: Path) -> None:
    root, saved = make_classes(tmp_path / "data", {"apple": 16, "pear": 16}), tmp_path / "split.csv"
    before = read(root, seed=3)
    write_split(before, saved)
    sides = {record.sha256: record.split for record in before.records}
    (root / "apple" / "apple_0.png").rename(root / "apple" / "other name.png")
    (root / "pear" / "pear_1.png").unlink()
    make_classes(tmp_path / "more", {"apple": 8, "fig": 8}, first=200)
    for path in (tmp_path / "more").rglob("*.png"):
        (root / path.parent.name).mkdir(exist_ok=True)
        path.rename(root / path.parent.name / f"new_{path.name}")
    for seed in range(3):
        data = read(root, seed=seed, saved_split=saved)
        assert all(sides.get(record.sha256, record.split) == record.split for record in data.records)
        assert sum(record.sha256 in sides for record in data.records) == 31
        # The new ones fill up the share of each class.
        assert [data.counts("validation")[data.labels.index(label)] for label in ("apple", "fig")] == [6, 2]


def test_a_split_of_copies_goes_by_their_names(tmp_path: Path) -> None:
    root, saved = make_classes(tmp_path / "data", {"apple": 8, "pear": 8}), tmp_path / "split.csv"
    shutil.copy(root / "apple/apple_3.png", root / "pear/copy.png")
    data = read(root)
    rows = [dataclasses.replace(r, split="validation" if "copy" in r.file else r.split) for r in data.records]
    rows = [dataclasses.replace(r, split="train" if "apple_3" in r.file else r.split) for r in rows]
    write_split(dataclasses.replace(data, records=rows), saved)
    again = {record.file: record.split for record in read(root, saved_split=saved).records}
    assert again["apple/apple_3.png"] == "train" and again["pear/copy.png"] == "validation"


def test_a_set_that_calls_all_train_can_keep_an_earlier_division(tmp_path: Path) -> None:
    for index, (name, count) in enumerate({"train": 12, "test": 3}.items()):
        make_classes(tmp_path / name, {"apple": count, "pear": count}, first=100 * index)
    before = read(tmp_path, seed=2)
    write_split(before, tmp_path / "split.csv")
    make_classes(tmp_path / "more", {"apple": 4}, first=300)
    for path in (tmp_path / "more").rglob("*.png"):
        path.rename(tmp_path / "train/apple" / f"new_{path.name}")
    shutil.rmtree(tmp_path / "more")
    (tmp_path / "split.csv").rename(tmp_path.parent / "kept.csv")
    after = read(tmp_path, saved_split=tmp_path.parent / "kept.csv")
    sides = {record.sha256: record.split for record in before.records}
    assert all(sides.get(record.sha256, record.split) == record.split for record in after.records)
    assert after.counts("validation") == [4, 3] and after.counts("test") == [3, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,sha256,label,split\nx,y,apple,train\n", "names none of these pictures; give the split.csv of a run on"),
        ("file,label\nx,y\n", "is damaged"),
        (None, "no such file"),
    ],
)
def test_a_wrong_split_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    root = make_classes(tmp_path / "data", {"apple": 4, "pear": 4})
    if text is not None:
        (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DatasetError, match=rf"split\.csv: {message}"):
        read(root, saved_split=tmp_path / "split.csv")


def test_hashes_are_those_of_imagehash() -> None:
    """Reference bits: `imagehash.phash` (4.3.2) of the picture and of its mirror image."""
    for name, plain, mirrored in [
        ("grape/grape_005.jpg", 0xBC09C7B54AD6AD42, 0xE95C92E01F83F817),
        ("pineapple/pineapple_011.jpg", 0x97957818636A8767, 0xC2C22D4D363FD332),
        ("strawberry/strawberry_020.jpg", 0xC3C33C2D98B3CCC9, 0x96966978CDE49994),
        ("grape/grape_021.jpg", 0xABBDC2ECAF1090C5, 0xFEE897B9F2458480),
    ]:
        with Image.open(REPOSITORY / "dataset" / "sample" / name) as image:
            # JPEG decoders differ a little from one version to the next: a bit at most.
            for found, expected in zip(perceptual_hashes(image), (plain, mirrored), strict=True):
                assert (found ^ expected).bit_count() <= 1, name
            assert perceptual_hashes(ImageOps.mirror(image)) == perceptual_hashes(image)[::-1]
    assert perceptual_hashes(Image.new("RGB", (50, 40), "red")) == (1 << 63, 1 << 63), "no noise in a flat picture"


def test_groups_and_split_do_not_depend_on_the_sizes(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 8, "pear": 8})
    for number in range(4):
        Image.open(root / f"apple/apple_{number}.png").resize((37, 31)).save(root / f"apple/small_{number}.png")
    first, *others = (read(root, sizes=sizes).records for sizes in ([16], [32, 200], [128]))
    assert all(records == first for records in others)
    assert len({record.group for record in first}) == 16


def test_a_file_that_breaks_shifts_nothing(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 8, "pear": 8})
    (root / "apple" / "apple_0.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (root / "pear" / "pear_3.png").unlink()
    (root / "pear" / "pear_3.png").symlink_to("nowhere")
    data = read(root, sizes=[32, 48])
    assert len(data.pictures) == 14 and [bool(record.error) for record in data.records].count(True) == 2
    for split in data.splits:
        records, targets = data.in_split(split), data.targets(split)
        for size in (32, 48):
            assert len(records) == len(targets) == len(data.pixels(split, size)) == sum(data.counts(split))
            for record, target, pixels in zip(records, targets, data.pixels(split, size), strict=True):
                assert data.labels[target] == record.label == record.path.parent.name
                assert np.array_equal(pixels, load_pixels(record.path, size))
                assert record.sha256 == hashlib.sha256(record.path.read_bytes()).hexdigest()


def sides(split: list[str], labels: list[str]) -> dict[str, tuple[int, int]]:
    """Training and validation pictures by label."""
    pairs = list(zip(labels, split, strict=True))
    return {label: (pairs.count((label, "train")), pairs.count((label, "validation"))) for label in set(labels)}


@pytest.mark.parametrize("seed", range(4))
def test_a_group_never_takes_more_than_its_class_can_give(seed: int) -> None:
    burst = np.r_[np.zeros(99, int), 99:120]
    labels = ["a"] * 100 + ["b"] * 20
    assert sides(assigned(labels, burst, seed=seed), labels) == {"a": (99, 1), "b": (17, 3)}
    # Two halves: one has to validate; of unequal ones the smaller.
    halves = np.repeat([0, 60], [60, 40])
    assert sides(assigned(["a"] * 100, halves, seed=seed), ["a"] * 100) == {"a": (60, 40)}
    # A group that is filed under two labels takes from both.
    torn = np.r_[np.zeros(20, int), 20:60]
    labels = ["a"] * 2 + ["b"] * 18 + ["a"] * 20 + ["b"] * 20
    assert sides(assigned(labels, torn, seed=seed), labels) == {"a": (19, 3), "b": (32, 6)}


def test_pictures_to_calibrate_on_are_set_aside_from_those_for_training() -> None:
    # Bursts of four near-duplicates; "rare" is a single burst and can't be on both sides.
    groups = np.repeat(np.arange(0, 320, 4), 4)
    labels = ["a"] * 200 + ["b"] * 116 + ["rare"] * 4
    split = assigned(labels, groups, share=0.2, seed=3, name="calibration")
    sets = collections.Counter(zip(labels, split, strict=True))
    assert sets["a", "calibration"] == 40 and sets["b", "calibration"] in (20, 24) and not sets["rare", "calibration"]
    assert sum(sets.values()) == 320 and {name for _, name in sets} == {"train", "calibration"}
    assert all(len({split[start + place] for place in range(4)}) == 1 for start in range(0, 320, 4))


@pytest.mark.parametrize(("share", "set_aside"), [(0.1, 0), (0.25, 64), (0.0, 0)])
def test_a_share_of_the_training_pictures_calibrates_where_that_is_enough(share: float, set_aside: int) -> None:
    data = scan(REPOSITORY / "dataset" / "sample", sizes=[32], rules=SplitRules(calibration=share))
    without = scan(REPOSITORY / "dataset" / "sample", sizes=[32])
    aside = {record.file for record in data.in_split("calibration")}
    assert abs(len(aside) - set_aside) <= 1 and len(data.in_split("train")) == 255 - len(aside)
    assert data.in_split("validation") == without.in_split("validation")
    assert aside <= {record.file for record in without.in_split("train")}
    assert any("too few pictures to set some aside" in line for line in data.report) == (share == 0.1)


def test_a_set_that_names_its_calibration_split_keeps_it(tmp_path: Path) -> None:
    make_classes(tmp_path / "set", {"a": 63, "b": 63})
    splits = ["train"] * 60 + ["validation", "calibration", "calibration"]
    rows = [f"{label}/{label}_{number}.png,{label},{split}" for label in "ab" for number, split in enumerate(splits)]
    (tmp_path / "set.csv").write_text("\n".join(["file,label,split", *rows]))
    data = read(tmp_path / "set.csv", calibration=0.5)
    assert [len(data.in_split(name)) for name in ("train", "calibration", "validation")] == [120, 4, 2]


def test_exact_copies_count_once(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 20, "pear": 20})
    for number in range(200):
        shutil.copy(root / "apple/apple_1.png", root / f"apple/copy_{number:03}.png")
    data = read(root)
    assert data.counts("train") == [15, 15] and data.counts("validation") == [5, 5]
    assert any("left out 200 exact copies of other pictures" in line for line in data.report)
    assert sum("cop" in line for line in data.report) == 1
    # Where the data set says which picture goes where, it is taken at its word.
    rows = [f"{record.file},{record.label},{'val' if record.file[-5] == '1' else 'train'}" for record in data.records]
    (root / "data.csv").write_text("file,label,split\n" + "\n".join(rows) + "\n")
    assert len(read(root / "data.csv").pictures) == 240


def test_many_near_duplicates_are_one_group_in_little_memory() -> None:
    hashes = np.zeros((3000, 2), np.uint64)
    hashes[-1] = np.uint64(0x0F0F_0F0F_0F0F_0F0F)
    tracemalloc.start()
    assert duplicate_groups(hashes).tolist() == [0] * 2999 + [2999]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_splits_and_other_folders_side_by_side_are_refused(tmp_path: Path) -> None:
    for index, name in enumerate(("train", "val", "extra")):
        make_classes(tmp_path / name, {"apple": 3, "pear": 3}, first=100 * index)
    with pytest.raises(DatasetError, match=r"folders of splits \(train, validation\) and others beside them: extra"):
        read(tmp_path)
    # A class may be called "train".
    root = make_classes(tmp_path / "traffic", {"bus": 4, "train": 4}, first=500)
    assert read(root).labels == ["bus", "train"]


def test_spellings_of_one_class_are_one(tmp_path: Path) -> None:
    for index, form in enumerate(("NFC", "NFD")):
        make_classes(tmp_path, {unicodedata.normalize(form, "\u00e9clair"): 4}, first=100 * index)
    make_classes(tmp_path, {"pear \U0001f350": 4}, first=300)
    data = read(tmp_path)
    assert data.labels == ["pear \U0001f350", "\u00e9clair"] and sum(data.counts("train")) == 9


@pytest.mark.parametrize("name", [b"caf\xe9", b"red\x1b[31m", b"two\nlines"])
def test_names_that_are_no_text(name: bytes, tmp_path: Path) -> None:
    root = make_classes(tmp_path / "data", {"apple": 4, "pear": 4})
    picture(99).save(root / "pear" / "odd.png")
    (root / "pear" / "odd.png").rename(root / "pear" / (os.fsdecode(name) + ".png"))
    data = read(root)
    assert len(data.pictures) == 9
    (root / "apple" / (os.fsdecode(name) + ".jpg")).write_bytes(b"broken")
    assert any("left out" in line for line in read(root).report) and all(map(str.isprintable, read(root).report))
    saved = tmp_path / "split.csv"
    write_split(data, saved)
    assert apply_split(read(root, seed=9), saved).pictures == data.pictures
    (root / "apple").rename(root / os.fsdecode(name))
    with pytest.raises(DatasetError, match="has characters that can't be shown") as caught:
        read(root)
    assert str(caught.value).isprintable()


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 4, "pear": 4})
    os.mkfifo(root / "apple" / "pipe")
    os.mkfifo(root / "apple" / "pipe.jpg")
    (root / "pear" / "zero.png").symlink_to("/dev/zero")
    report = "\n".join(read(root).report)
    assert "pipe.jpg: " in report and "zero.png: " in report and "1 file that is not a labelled picture" in report


@pytest.mark.parametrize(
    "text",
    ["", "file,sha256,label\n", "file,sha256,label,split\nx,y,z,never\n", 'file,sha256,label,split\n"x', "\0\0"],
)
def test_a_damaged_split_is_named(text: str, tmp_path: Path) -> None:
    data = read(make_classes(tmp_path / "data", {"apple": 4, "pear": 4}))
    saved = tmp_path / "split.csv"
    with pytest.raises(DatasetError, match=r"split\.csv: no such file"):
        apply_split(data, saved)
    saved.write_text(text)
    with pytest.raises(DatasetError, match=r"split\.csv: is damaged; restore it"):
        apply_split(data, saved)


def test_a_group_that_the_data_set_names_stays_together(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 12, "pear": 12})
    rows = [f"{label}/{label}_{n}.png,{label},{label}-{n // 3}" for label in ("apple", "pear") for n in range(12)]
    (root / "data.csv").write_text("file,label,duplicate_group\n" + "\n".join(rows) + "\n")
    data = read(root / "data.csv")
    side = {record.file: record.split for record in data.records}
    for label in ("apple", "pear"):
        splits = [{side[f"{label}/{label}_{3 * group + n}.png"] for n in range(3)} for group in range(4)]
        assert sorted(map(sorted, splits)) == [["train"]] * 3 + [["validation"]]
    folds = collections.defaultdict(set)
    for record, fold in zip(data.in_split("train"), training_folds(data, 3, seed=0), strict=True):
        folds[record.group].add(int(fold))
    assert len(folds) == 6 and all(len(found) == 1 for found in folds.values())


@pytest.mark.parametrize("most", [NEAR, WORTH_A_LOOK])
def test_near_duplicates_are_those_of_comparing_all_pairs(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_PAIRS", 1000)
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 1 << 64, (600, 2), np.uint64)
    for row in range(300):
        # Up to twelve bits from another picture, or with its mirror image so.
        flipped = sum(1 << int(bit) for bit in rng.choice(64, rng.integers(0, 13), replace=False))
        hashes[300 + row, row % 2] = hashes[row, 0] ^ np.uint64(flipped)
    distance = np.bitwise_count(hashes[:, None, 0, None] ^ hashes[None]).min(-1)
    expected = {(int(one), int(other)) for one, other in np.argwhere(distance <= most) if one < other}
    found = [
        pair for one, other, _ in near_pairs(hashes, most) for pair in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert len(found) == len(set(found)), "each once"
    assert set(found) == expected and 200 < len(expected) < 300


@pytest.mark.parametrize("rule", ["group", "warn", "off"])
def test_near_duplicates_are_kept_together_warned_of_or_not_looked_for(rule: str, tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 2, "pear": 12})
    for number in range(1, 12):
        picture(1, 48 + number).save(root / f"apple/same_{number}.png")
    for seed in range(4):
        data = read(root, near_duplicates=rule, seed=seed)
        names = {record.file: record.split for record in data.records if record.label == "apple"}
        sides = {split for file, split in names.items() if file != "apple/apple_1.png"}
        said = "warning: 12 pictures in 1 group of near-duplicates lie in several splits, apple/apple_0.png first"
        assert len(names) == 13 and len(sides) == (1 if rule == "group" else 2)
        assert data.report == ([said] if rule == "warn" else [])


def test_a_class_of_one_group_is_divided_and_that_is_said(tmp_path: Path) -> None:
    root = make_classes(tmp_path, {"apple": 1, "pear": 8})
    for number in range(1, 8):
        picture(1, 48 + 4 * number).save(root / f"apple/apple_{number}.png")
    data = read(root)
    assert data.counts("train") == [6, 6] and data.counts("validation") == [2, 2]
    said = "all 8 pictures of apple count as near-duplicates of one another; they are divided between the splits"
    assert data.report[0].startswith(f"warning: {said}")
