"""Folders and lists as people have them: read as they are meant, or refused with what to do, not wrong in silence."""

import collections
import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fruitcnn import checkpoint
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.saved_split import write_split
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.sources import read_listing
from fruitcnn.dataset.split import SplitRules
from fruitcnn.errors import DatasetError
from fruitcnn.locks import LOCK
from tests.dataset.test_dataset import make_classes, picture

CLASSES = {"grape": 4, "pineapple": 4}


def read(data: Path) -> Dataset:
    return scan(data, sizes=[16], rules=SplitRules(0.25))


def refused(data: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["1", "01", "001", "0001"], ["0001", "001", "01", "1"]),
        (["1.0", "1.00"], ["1.0", "1.00"]),
        (["\u0661", "1", "\uff11"], ["1", "\u0661", "\uff11"]),
    ],
)
def test_the_class_order_is_the_same_in_every_process(labels: list[str], ordered: list[str], tmp_path: Path) -> None:
    make_classes(tmp_path / "set", dict.fromkeys(labels, 2))
    rows = [f"set/{label}/{label}_0.png,{label}" for label in labels]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    code = "import sys\nfrom pathlib import Path\nfrom fruitcnn.dataset.sources import read_listing\n"
    code += "for data in ('set', 'list.csv'): print(*map(ascii, read_listing(Path(data)).labels))"
    expected = " ".join(map(ascii, ordered))
    for seed in range(4):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stdout.splitlines() == [expected] * 2, (seed, done.stderr)


def test_what_fruitcnn_has_written_is_no_class(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "set", CLASSES)
    before = [record.file for record in read(root).pictures]
    made = {
        "checkpoints/begun": [LOCK],
        "checkpoints/stopped": [checkpoint.CONFIG, checkpoint.SPLIT, LOCK],
        "checkpoints/finished": [checkpoint.CARD, checkpoint.ONNX, checkpoint.CONFUSION, checkpoint.CURVES],
        "exported": [checkpoint.CARD, checkpoint.ONNX],
        "report": [checkpoint.REPORT, checkpoint.PREDICTIONS],
        "golden": ["golden.json", "odd.png"],
        "grape/run": [checkpoint.CARD, checkpoint.ONNX, checkpoint.CONFUSION],
    }
    for folder, names in made.items():
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            if name.endswith(".png"):
                picture(900 + number).save(root / folder / name)
            else:
                (root / folder / name).touch()
    data = read(root)
    assert data.labels == ["grape", "pineapple"] and [record.file for record in data.pictures] == before
    for name in ("checkpoints", "exported", "report", "golden"):
        assert f"left out {root / name}: models and results of fruitcnn" in data.report
    assert len(data.report) == 4
    # The first run, before it has written more than its lock; beside folders of splits, too.
    split = tmp_path / "split"
    for number, name in enumerate(("train", "val")):
        make_classes(split / name, CLASSES, first=100 * number)
    (split / "checkpoints" / "first").mkdir(parents=True)
    (split / "checkpoints" / "first" / LOCK).touch()
    assert read(split).labels == ["grape", "pineapple"]
    # Pictures that somebody put beside runs are a class, and no longer passed over.
    picture(999).save(root / "checkpoints" / "mine.png")
    assert "checkpoints" in read_listing(root).labels


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["training_set/", "test_set/"], "has folders that look like splits, not classes: test_set, training_set; call "
         "them train, test, or give {root}/training_set"),
        (["TrainImages/", "ValImages/"], "look like splits, not classes: TrainImages, ValImages"),
        (["train2017/", "val2017/", "test2017/"], "look like splits, not classes: test2017, train2017, val2017"),
        (["images-train/", "images-test/", "other/"], "look like splits, not classes: images-test, images-train"),
        (["test/", "val/"], "has no pictures to train on (it has: validation, test)"),
        (["test/"], "has no pictures to train on (it has: test)"),
        (["", "test/"], "{root}/test: is beside classes and holds folders of classes itself: grape, pineapple"),
        (["", "augmented/"], "{root}/augmented: is beside classes and holds folders of classes itself"),
        (["train_set/", "extra/"], "{root}/train_set: is beside classes and holds folders of classes itself"),
        (["train_set/", "test1/", "test2/", "test3/", "test4/"], "test1, test2, test3, test4, train_set; call them"),
        (["train_set/", *(f"test{number}/" for number in range(7))], "test2, test3, test4 and 3 more; call them"),
        (["photos/"], "two classes or more (pictures: photos 8); give {root}/photos, if its folders are the classes"),
        (["deep/photos/"], "give {root}/deep/photos, if its folders are the classes"),
        (["wrap/train/", "wrap/test/"], "{root}/wrap: holds folders of splits: test, train; give {root}/wrap"),
    ],
)  # fmt: skip
def test_a_level_too_high_is_refused_with_the_folder_to_give(folders: list[str], said: str, tmp_path: Path) -> None:
    for number, folder in enumerate(folders):
        make_classes(tmp_path / "set" / folder, CLASSES, first=100 * number)
    assert said.format(root=tmp_path / "set") in refused(tmp_path / "set")


def test_a_level_too_low_is_refused_with_the_folder_to_give(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "set", CLASSES)
    assert f"has pictures, but no class folders; give the folder above it, {root}, if" in refused(root / "grape")
    alone = make_classes(tmp_path / "alone", {"grape": 4})
    assert "no class folders; put each class's pictures in its own folder" in refused(alone / "grape")
    assert "needs two classes or more" in refused(alone) and "add a folder (or label) for each" in refused(alone)
    for name in ("train", "test"):
        (tmp_path / "split" / name).mkdir(parents=True)
        picture(7).save(tmp_path / "split" / name / "grape_0.png")
    assert "no class folders in test, train; put each class's pictures in its own folder" in refused(tmp_path / "split")
    for number, label in enumerate(CLASSES):
        make_classes(tmp_path / "inside" / label, {"train": 2, "test": 2}, first=100 * number)
    assert "grape: holds folders of splits: test, train; put the splits above" in refused(tmp_path / "inside")
    # One such name is a folder like any other.
    make_classes(tmp_path / "one" / "grape", {"train": 4}, first=700)
    make_classes(tmp_path / "one", {"pineapple": 4}, first=800)
    assert read(tmp_path / "one").labels == ["grape", "pineapple"]


def test_classes_that_hold_the_same_folders_are_warned_of(tmp_path: Path) -> None:
    for number, name in enumerate(("fruit", "other")):
        make_classes(tmp_path / "same" / name, CLASSES, first=100 * number)
    make_classes(tmp_path / "nested" / "berry", {"blackberry": 4, "mulberry": 4}, first=300)
    make_classes(tmp_path / "nested" / "citrus", {"lemon": 4, "orange": 4}, first=400)
    for name, said in (
        ("same", "warning: the class folders fruit, other hold the same folders (grape, pineapple): if those are the "
         "classes, give {root}/fruit"),
        ("nested", "warning: the class folders berry, citrus hold no pictures, only folders (blackberry, mulberry): if "
         "those are the classes, give {root}/berry"),
    ):  # fmt: skip
        data = read(tmp_path / name)
        assert len(data.labels) == 2 and data.report == [said.format(root=tmp_path / name)]
    # One folder in each class, or pictures beside them, are an order of one's own.
    root = make_classes(tmp_path / "plain" / "grape", {"images": 4}, first=500).parent
    make_classes(root / "pineapple", {"images": 4}, first=600)
    assert read(root).report == []
    make_classes(root / "grape", {"more": 2}, first=700)
    make_classes(root / "pineapple", {"more": 2}, first=800)
    picture(1).save(root / "grape" / "a.png")
    picture(2).save(root / "pineapple" / "a.png")
    assert read(root).report == []


def test_pictures_loose_beside_the_classes_of_a_split_are_counted(tmp_path: Path) -> None:
    for number, name in enumerate(("Train", "Valid")):
        make_classes(tmp_path / name, CLASSES, first=100 * number)
        picture(900 + number).save(tmp_path / name / "loose.png")
    (tmp_path / "Train" / ".DS_Store").touch()
    data = read(tmp_path)
    first = tmp_path / "Train" / "loose.png"
    said = [f"left out 2 files that are not labelled pictures, {first} first", "left out 1 hidden and system file"]
    assert len(data.pictures) == 16 and data.report == said


@pytest.mark.parametrize(
    "name",
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", "__pycache__", "#recycle", ".git",
     ".ipynb_checkpoints"],
)  # fmt: skip
def test_folders_of_the_system_are_no_classes(name: str, tmp_path: Path) -> None:
    for place in (tmp_path / "set", tmp_path / "set" / "grape", tmp_path / "split", tmp_path / "split" / "train"):
        (place / name).mkdir(parents=True)
        picture(99).save(place / name / "thumbnail.png")
    make_classes(tmp_path / "more", {"grape": 4})
    make_classes(tmp_path / "set", {"pineapple": 4}, first=50)
    for number, path in enumerate(sorted((tmp_path / "more" / "grape").iterdir())):
        path.rename(tmp_path / "set" / "grape" / f"{number}.png")
    make_classes(tmp_path / "split" / "train", CLASSES, first=200)
    for root in ("set", "split"):
        data = read(tmp_path / root)
        assert data.labels == ["grape", "pineapple"] and len(data.pictures) == 8
        assert data.report == ["left out 2 hidden and system files"]


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("grape", "grape ", "'grape', 'grape '"),
        ("red grape", "red  grape", "'red  grape', 'red grape'"),
        ("red grape", "red\u00a0grape", r"'red grape', 'red\xa0grape'"),
        ("grape", "grape\u200b", r"'grape', 'grape\u200b'"),
        ("grape", "\ufeffgrape", r"'grape', '\ufeffgrape'"),
        ("grape", "gra\u00adpe", r"'grape', 'gra\xadpe'"),
        ("grape", "grape\u3164", r"'grape', 'grape\u3164'"),
        ("\u2764", "\u2764\ufe0f", r"'\u2764', '\u2764\ufe0f'".replace(r"\u2764", "\u2764")),
        ("grape", "Grape", "'Grape', 'grape'"),
        ("stra\u00dfe", "STRASSE", "'STRASSE', 'stra\u00dfe'"),
    ],
)
def test_labels_that_look_alike_are_refused(one: str, other: str, shown: str, tmp_path: Path) -> None:
    said = f"classes differ only in letter case, blanks or invisible characters: {shown}; rename or join them"
    assert said in refused(make_classes(tmp_path / "set", {one: 4, other: 4}))
    for number, (split, label) in enumerate((("train", one), ("test", other))):
        make_classes(tmp_path / "split" / split, {label: 4, "pear": 4}, first=100 * number)
    assert said in refused(tmp_path / "split")
    names = [f'"set/{folder}/{folder}_0.png","{label}"' for folder in (one, other) for label in (folder,)]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *names]), encoding="utf-8")
    if other.strip(" ") != one:
        assert said in refused(tmp_path / "list.csv")


@pytest.mark.parametrize("name", ["\u200b", "\u3164", "\u2800 "])
def test_labels_that_show_nothing_are_refused(name: str, tmp_path: Path) -> None:
    assert "is blank; give it a name" in refused(make_classes(tmp_path, {name: 4, "pear": 4}))


def test_pictures_that_fail_alike_are_one_line(tmp_path: Path) -> None:
    root = make_classes(tmp_path, CLASSES)
    for number in range(30):
        (root / "grape" / f"empty_{number}.jpg").touch()
    (root / "pineapple" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    lines = read(root).report
    assert len(lines) == 2 and lines[0].startswith(
        f"left out 30 pictures, {root / 'grape' / 'empty_0.jpg'}: empty file"
    )
    assert lines[1].startswith(f"left out {root / 'pineapple' / 'broken.png'}: ")
    for file in (root / "grape").glob("grape_*.png"):
        file.unlink()
    assert f"no readable picture in: grape (pictures: grape 0, pineapple 4; {root}/grape/empty_0.jpg: empty" in refused(
        root
    )


def test_pictures_of_kinds_that_are_not_read_here_are_counted_with_the_remedy(tmp_path: Path) -> None:
    root = make_classes(tmp_path, CLASSES)
    for number in range(3):
        (root / "grape" / f"IMG_{number}.jxl").write_bytes(b"\xff\x0a" + bytes(20))
    (root / "pineapple" / "IMG_3.JXL").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20))
    said = "is a JPEG XL picture, which is not read here; save it as JPEG or PNG"
    assert read(root).report == [f"left out 4 pictures, {root / 'grape' / 'IMG_0.jxl'}: {said} (the first)"]


def write_list(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    """A list beside 4 + 4 pictures in the folder `im`."""
    if not (folder / "im").exists():
        make_classes(folder / "im", CLASSES)
    (folder / "list.csv").write_bytes(text.encode(encoding))
    return folder / "list.csv"


ROWS = [(f"im/{label}/{label}_{number}.png", label) for label in CLASSES for number in range(4)]


def table(separator: str = ",", header: str = "", end: str = "\n", rows: list[tuple[str, ...]] | None = None) -> str:
    lines = [header or separator.join(("file", "label")), *map(separator.join, ROWS if rows is None else rows)]
    return end.join(lines) + end


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (table(), "utf-8"),
        (table(), "utf-8-sig"),
        (table(), "utf-16"),
        (table(), "utf-16-le"),
        (table(";"), "utf-16-be"),
        (table(end="\r\n"), "utf-8"),
        (table(end="\r"), "utf-8"),
        (table(";"), "utf-8"),
        (table("\t"), "utf-8"),
        (table("|"), "utf-8"),
        (table(", ", header="file, label"), "utf-8"),
        (table(", ", header=' "file", "label"', rows=[(f'"{file}"', f'"{label}"') for file, label in ROWS]), "utf-8"),
        (table(header=" File ,LABEL"), "utf-8"),
        (table(rows=[(file.replace("/", "\\"), label) for file, label in ROWS]), "utf-8"),
        (table(rows=[("./" + file, label + "  ") for file, label in ROWS]), "utf-8"),
        (table() + ",\n,,,\n\n", "utf-8"),
        ("\n\n" + table(), "utf-8"),
        (table(header="file,label,,", rows=[(*row, "", "") for row in ROWS]), "utf-8"),
        (table(header="note,file,colour,label,colour", rows=[("x", a, "y", b, "z") for a, b in ROWS]), "utf-8"),
        (table(header="file,label,split", rows=[(*row, "") for row in ROWS]), "utf-8"),
    ],
)
def test_lists_as_programs_write_them_are_read(text: str, encoding: str, tmp_path: Path) -> None:
    data = read(write_list(tmp_path, text, encoding))
    assert [(record.file, record.label) for record in data.pictures] == ROWS
    assert data.counts("train") == [3, 3] and data.counts("validation") == [1, 1] and data.report == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first line names nothing; it must name file and label"),
        ("file,label\n", "names no pictures, it has a first line only"),
        ("file,label\n,\n , \n", "names no pictures, it has a first line only"),
        ("image,class\na.png,x\n", "its first line names image,class; it must name file and label"),
        ("file,label,label\na.png,x,y\n", "has two columns called label; rename one of them"),
        ("file,label,Label \na.png,x,y\n", "has two columns called label; rename one of them"),
        ("file,label\na.png,grape, red\n", "line 2: has 3 cells, the first line 2; put a name that has a ',' in it in"),
        ("file;label\na.png;grape; red\n", "line 2: has 3 cells, the first line 2; put a name that has a ';' in it in"),
        ("file,label\na.png\n", "line 2: has no file or no label"),
        ('file,label\n"a\nb.png",\n', "line 3: has no file or no label"),
        ("file,label,split\na.png,x,later\n", "line 2: unknown split 'later'; use one of train, calibration, "),
        ("file,label\nim/grape/grape_0.png,x\n./im/grape/grape_0.png,y\n", "im/grape/grape_0.png is listed twice"),
        ("file,label\nim/grape/grape_0.png,x\nim/pineapple/../grape/grape_0.png,y\n", "im/grape/grape_0.png is listed"),
        ("file,label\nim/grape/grape_0.png,x\nim/link.png,y\n", "im/grape/grape_0.png and im/link.png are one file"),
        ("file,label,split\nim/grape/grape_0.png,x,train\nim/link.png,x,test\n", "im/link.png are one file"),
    ],
)  # fmt: skip
def test_lists_that_can_not_be_meant_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = write_list(tmp_path, text)
    (tmp_path / "im" / "link.png").symlink_to("grape/grape_0.png")
    assert said in refused(path)


@pytest.mark.parametrize("row", [("im/caf\u00e9.png", "grape"), ("im/grape/grape_0.png", "caf\u00e9")])
def test_a_list_in_another_encoding_is_said_to_be_that(row: tuple[str, str], tmp_path: Path) -> None:
    path = write_list(tmp_path, table(rows=[*ROWS, row]), "cp1252")
    assert refused(path) == f"{path}, line 10: is not UTF-8; save the list as UTF-8 CSV"


def test_a_hard_link_is_a_file_of_its_own(tmp_path: Path) -> None:
    path = write_list(tmp_path, table(rows=[*ROWS, ("im/again.png", "pineapple")]))
    (tmp_path / "im" / "again.png").hardlink_to(tmp_path / "im" / "grape" / "grape_0.png")
    assert len(read_listing(path).records) == 9


def test_rows_without_a_split_are_split_and_the_others_stay(tmp_path: Path) -> None:
    make_classes(tmp_path / "im", {"grape": 40, "pineapple": 40})
    Image.open(tmp_path / "im/grape/grape_0.png").resize((40, 40)).save(tmp_path / "im/grape/grape_40.png")
    given = {0: "test", 1: "train", 2: "train", 3: "val"}
    rows = [
        f"im/{label}/{label}_{number}.png,{label},{given.get(number, '')}"
        for label in CLASSES for number in range(41 if label == "grape" else 40)
    ]  # fmt: skip
    for with_validation in (True, False):
        text = "\n".join(["file,label,split", *rows])
        (tmp_path / "list.csv").write_text(text if with_validation else text.replace(",val", ",test"))
        data = read(tmp_path / "list.csv")
        side = {record.file: record.split for record in data.records}
        for label in CLASSES:
            sides = [side[f"im/{label}/{label}_{number}.png"] for number in range(4)]
            assert sides == ["test", "train", "train", "validation" if with_validation else "test"]
        # Its near-duplicate is a test picture, and so is it.
        assert side["im/grape/grape_40.png"] == "test" and data.report == []
        counts = collections.Counter(record.split for record in data.records)
        # Those that it names count for the share.
        assert counts["validation"] == 20 and counts["train"] == 81 - sum(
            counts[name] for name in ("validation", "test")
        )


def test_a_path_that_exists_nowhere_is_named_where_it_should_be(tmp_path: Path) -> None:
    make_classes(tmp_path / "photos", CLASSES)
    rows = "file,label\ngrape/nothing.png,grape\nelsewhere/nothing.png,grape\n"
    (tmp_path / "photos.csv").write_text(rows)
    found = [record.path for record in read_listing(tmp_path / "photos.csv").records]
    assert found == [tmp_path / "photos" / "grape" / "nothing.png", tmp_path / "elsewhere" / "nothing.png"]
    (tmp_path / "photos" / "list.csv").write_text(rows)
    found = [record.path for record in read_listing(tmp_path / "photos" / "list.csv").records]
    assert found == [tmp_path / "photos" / name / "nothing.png" for name in ("grape", "elsewhere")]


def test_what_a_split_lists_reads_back_the_same(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "set", CLASSES)
    names = [
        b" outer ",
        b"caf\xe9",
        b"two\nlines",
        b"com,ma",
        b'quo"te',
        b"back\\slash",
        b"semi;colon",
        "\u00e9".encode(),
    ]
    for number, name in enumerate(names):
        picture(500 + number).save(root / "grape" / (os.fsdecode(name) + ".png"))
        picture(600 + number).save(root / "grape" / "x.png")
        (root / "grape" / "x.png").rename(root / "grape" / os.fsdecode(b" " + name + b" "))
    data = read(root)
    assert len(data.pictures) == 8 + 2 * len(names)
    write_split(data, root / "split.csv")
    again = read(root / "split.csv")
    assert again.records == data.records
    with (root / "split.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [record.file for record in data.pictures]


def test_near_duplicates_are_counted_as_pictures(tmp_path: Path) -> None:
    rows = []
    for number in range(43):
        name, label = f"{number}.png", "grape" if number < 22 else "pineapple"
        same = picture(1 if number < 40 else number, side=30 + number)
        same.save(tmp_path / name)
        rows.append(f"{name},{label},{'val' if number % 20 == 0 or number > 40 else 'train'}")
    (tmp_path / "list.csv").write_text("\n".join(["file,label,split", *rows]))
    assert read(tmp_path / "list.csv").report == [
        "warning: 40 pictures in 1 group of near-duplicates lie in several splits, 0.png first",
        "warning: 40 pictures in 1 group of near-duplicates have several labels: 0.png (grape) with 22.png (pineapple)",
    ]


def test_what_happens_to_one_entry_stays_its_own(tmp_path: Path) -> None:
    root = make_classes(tmp_path / "set", CLASSES)
    (root / "loop").symlink_to("loop")
    (root / "grape" / "loop").symlink_to("loop")
    (root / "grape" / "loop.png").symlink_to("loop.png")
    (root / "grape" / "gone.png").symlink_to("nowhere.png")
    (root / "far").symlink_to("x" * 255)
    data = read(root)
    assert data.labels == ["grape", "pineapple"] and len(data.pictures) == 8
    loop, gone = root / "grape" / "loop", root / "grape" / "gone.png"
    assert (
        f"left out 2 pictures, {loop}: a link that leads back to itself; name the file itself (the first)"
        in data.report
    )
    assert any(line.startswith(f"left out {gone}: no such file") for line in data.report)
    assert any(line.startswith("left out 2 files that are not labelled") for line in data.report)
    rows = [*ROWS, ("im/loop.png", "grape"), ("im/" + "x" * 5000, "grape")]
    path = write_list(tmp_path, table(rows=rows))
    (tmp_path / "im" / "loop.png").symlink_to("loop.png")
    data = read(path)
    assert len(data.pictures) == 8 and len(data.report) == 2
