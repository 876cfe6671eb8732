"""`fruitcnn dataset check`: finds what was planted, names nothing else, changes no file, and its list mends the set."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from PIL import Image, ImageOps

from dataset.drawing.draw import draw_dataset
from fruitcnn import check, load_config
from fruitcnn.cells import width
from fruitcnn.checks.finding import KINDS, CheckedSet
from fruitcnn.checks.labels import distances, doubtful_labels, held_out_probabilities, spreads
from fruitcnn.checks.quality import measured
from fruitcnn.dataset.fixes import COLUMNS, read_fixes
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError, UsageError
from tests.chromium import CHROMIUM, Page
from tests.conftest import REPOSITORY, Run
from tests.faults.conftest import digests
from tests.missing import without

DUPLICATES = ("exact copy", "near-duplicate", "two labels", "leak")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """The drawn set with one fault of each kind."""
    root = tmp_path_factory.mktemp("faulty") / "fruit"
    shutil.copytree(drawn, root)
    grape, pineapple = root / "grape", root / "pineapple"
    shutil.copy(grape / "grape_001.jpg", grape / "copy.jpg")
    with Image.open(grape / "grape_002.jpg") as picture:
        ImageOps.mirror(picture).save(grape / "mirrored.png")
    with Image.open(grape / "grape_003.jpg") as picture:
        picture.resize((40, 40)).save(pineapple / "wrong.png")
        picture.resize((160, 40)).save(pineapple / "long.png")
        picture.resize((20, 20)).rotate(90).save(pineapple / "tiny.png")
        picture.point(lambda value: value * 0.25).rotate(180).save(pineapple / "dark.png")
    data = (grape / "grape_004.jpg").read_bytes()
    (grape / "half.jpg").write_bytes(data[: len(data) // 2])
    (grape / "broken.jpg").write_bytes(b"no picture")
    (grape / "notes.txt").write_text("mine")
    Image.new("RGB", (48, 48), "teal").save(pineapple / "blank.png")
    (root / "kiwi").mkdir()
    shutil.copy(grape / "grape_005.jpg", root / "kiwi" / "only.jpg")
    return root


@pytest.fixture(scope="module")
def checked(faulty: Path) -> Iterator[CheckedSet]:
    before = digests(faulty)
    yield check(faulty)
    assert digests(faulty) == before, "a check has changed a file"


def names(checked: CheckedSet, kind: str) -> list[set[str]]:
    return [{Path(record.file).name for record in finding.records} for finding in checked.of(kind)]


def test_each_planted_fault_is_found(checked: CheckedSet) -> None:
    assert checked.serious and checked.classes == {"grape": 18, "kiwi": 1, "pineapple": 21, "strawberry": 16}
    assert {"broken.jpg"} in names(checked, "unreadable")
    assert {"half.jpg"} in names(checked, "unreadable")
    assert names(checked, "blank") == [{"blank.png"}]
    assert names(checked, "tiny") == [{"tiny.png"}] and names(checked, "elongated") == [{"long.png"}]
    assert names(checked, "very dark") == [{"dark.png"}]
    assert {"grape_001.jpg", "copy.jpg"} in names(checked, "exact copy")
    mirrored = next(one for one in checked.of("near-duplicate") if "mirrored" in one.words)
    assert {record.path.name for record in mirrored.records} >= {"grape_002.jpg", "mirrored.png"}
    assert mirrored.note == "mirror images"
    labels = names(checked, "two labels")
    assert any({"grape_003.jpg", "wrong.png"} <= one for one in labels)
    assert {"grape_005.jpg", "only.jpg"} in labels and {"grape_001.jpg", "copy.jpg"} not in labels
    assert [one.words for one in checked.of("class too small")] == ["kiwi: 1 picture"]
    assert [one.words for one in checked.of("uneven classes")] == ["kiwi: 1 picture beside 21"]
    assert [Path(one.note).name for one in checked.of("other file")] == ["notes.txt"]


def test_a_clean_set_has_nothing_serious(drawn: Path, cli: Run) -> None:
    done = cli("dataset", "check", drawn)
    assert done.returncode == 0 and "serious: mend" not in done.stdout and "48 pictures of 3 classes" in done.stdout


def test_the_summary_fits_a_terminal_and_the_status_tells(faulty: Path, cli: Run) -> None:
    done = cli("dataset", "check", faulty, "--fixes", "fixes.csv")
    assert done.returncode == 3 and "fixes to edit: fixes.csv" in done.stdout, done.stderr
    assert max(map(width, done.stdout.splitlines())) <= 80 and done.stdout.isascii()
    assert re.search(r"serious: mend these first\n  unreadable +\d  ", done.stdout)
    again = cli("dataset", "check", faulty, "--fixes", "fixes.csv")
    assert again.returncode == 2 and again.stderr == "fruitcnn: fixes.csv: exists already; name another file\n"


def test_class_names_that_look_alike_are_told_not_refused(drawn: Path, tmp_path: Path) -> None:
    for name, source in {"Grape": "grape", "grape ": "strawberry", "gra\u200bpe": "pineapple"}.items():
        shutil.copytree(drawn / source, tmp_path / "set" / name)
    found = check(tmp_path / "set").of("alike class names")
    assert len(found) == 1 and "'Grape' and 'grape ' and 'gra\\u200bpe'" in found[0].words
    with pytest.raises(DatasetError, match="differ only in letter case"):
        scan(tmp_path / "set", sizes=[32])


def test_sets_that_a_training_refuses_are_serious(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn / "grape", tmp_path / "set" / "Unknown")
    alone = check(tmp_path / "set")
    assert alone.serious and [one.words for one in alone.of("too few classes")] == [
        "1 class: add a folder (or label) for each"
    ]
    assert [one.words for one in alone.of("reserved class name")] == ["'Unknown': rename it"]
    with pytest.raises(DatasetError, match="may not be called 'Unknown'"):
        scan(tmp_path / "set", sizes=[32])
    (tmp_path / "set" / "Unknown").rename(tmp_path / "set" / "grape")
    (tmp_path / "set" / "copies").mkdir()
    picture = next((drawn / "strawberry").glob("*.jpg"))
    for number in range(12):
        shutil.copy(picture, tmp_path / "set" / "copies" / f"{number}.jpg")
    copies = check(tmp_path / "set")
    assert [one.words for one in copies.of("class too small")] == ["copies: 12 pictures, copies of one"]
    with pytest.raises(DatasetError, match=r"'copies' is too small to split: 1 picture \(copies count once\)"):
        scan(tmp_path / "set", sizes=[32])


def test_pictures_on_both_sides_of_a_split_are_leaks(drawn: Path, tmp_path: Path) -> None:
    files = sorted(drawn.glob("*/*.jpg"))
    shutil.copy(files[0], tmp_path / "again.jpg")
    rows = [(path, path.parent.name, "validation" if number % 4 == 3 else "train") for number, path in enumerate(files)]
    rows.append((tmp_path / "again.jpg", files[0].parent.name, "test"))
    with (tmp_path / "set.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("file", "label", "split"), *rows])
    checked = check(tmp_path / "set.csv")
    leak = next(one for one in checked.of("leak") if one.note == "the same bytes")
    assert {record.path.name for record in leak.records} == {files[0].name, "again.jpg"}
    assert [(Path(fix.file).name, fix.action) for fix in leak.fixes] == [(files[0].name, "drop"), ("again.jpg", "keep")]
    assert "[train]" in leak.words and "[test]" in leak.words


def test_wrong_labels_are_named_and_right_ones_are_not(tmp_path: Path) -> None:
    """Blobs in 2 of 8 dimensions: 5 of 200 labels are wrong."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 100)
    features = rng.normal(size=(200, 8)).astype(np.float32)
    features[:, 0] += 50 * truth
    targets = truth.copy()
    targets[[3, 50, 120, 150, 199]] ^= 1
    probabilities = held_out_probabilities(features, targets, np.arange(200), np.ones(200, bool))
    found = doubtful_labels(probabilities, targets)
    assert sorted(found) == [(3, 0), (50, 0), (120, 1), (150, 1), (199, 1)]
    far = features.copy()
    far[7] = -far[7] * 9
    assert distances(far - far.mean(0), np.arange(200)).argmax() == 7
    # A twin says nothing about how far a picture is from the others.
    twins = np.concatenate([far, far[7:8]])
    groups = np.array([*range(200), 7])
    twins -= twins.mean(0)
    assert distances(twins, groups)[200] > distances(twins, np.arange(201))[200]


def test_a_moved_picture_is_named_and_a_blank_one_neither_judges_nor_is_judged(tmp_path: Path) -> None:
    root = tmp_path / "fruit"
    draw_dataset(root, per_class=60, size=96, seed=3)
    sorted((root / "grape").iterdir())[2].rename(root / "strawberry" / "moved.jpg")
    Image.new("RGB", (48, 48), "teal").save(root / "pineapple" / "blank.png")
    found = check(root)
    assert names(found, "label to check") == [{"moved.jpg"}]
    assert {"blank.png"} not in names(found, "unlike all others")


def test_how_far_a_picture_is_from_the_others_is_told_in_spreads() -> None:
    far = np.random.default_rng(0).gamma(3, size=101)
    far[7] = 1000
    deviation = scipy.stats.median_abs_deviation(far, scale="normal")
    assert spreads(far) == pytest.approx((far - np.median(far)) / deviation, rel=1e-4)
    assert spreads(np.array([2.0, 2.0, 2.0, 5.0])).tolist() == [0, 0, 0, 3], "all but one alike"


def test_no_layer_has_met_what_it_answers_or_learns_from_what_is_not_trusted() -> None:
    rng = np.random.default_rng(0)
    # Of noise only what has met a picture knows its label.
    targets, alone = np.repeat([0, 1], 50), np.arange(100)
    noise = rng.normal(size=(100, 400)).astype(np.float32)
    met = held_out_probabilities(noise, targets, alone, np.ones(100, bool))
    assert (met.argmax(1) == targets).mean() < 0.7
    # Two of five labels are wrong, and known to be doubtful for another reason.
    truth, wrong = targets, np.tile([True, True, False, False, False], 20)
    blobs = (truth[:, None] * 20 + rng.normal(size=(100, 64))).astype(np.float32)
    given = np.where(wrong, 1 - truth, truth)
    found = doubtful_labels(held_out_probabilities(blobs, given, alone, ~wrong), given)
    assert sorted(place for place, _ in found) == np.flatnonzero(wrong).tolist()


def test_a_label_is_doubtful_only_where_another_is_far_more_probable() -> None:
    rows = [[0.24, 0.76, 0.0], [0.27, 0.73, 0.0], [0.9, 0.05, 0.05], [0.1, 0.0, 0.9], [0.6, 0.0, 0.4]]
    assert doubtful_labels(np.array(rows), np.array([0, 0, 0, 0, 1])) == [(3, 2), (4, 0), (0, 1)]


def test_a_blurred_picture_is_less_sharp_whatever_its_contrast() -> None:
    rng = np.random.default_rng(0)
    sharp = np.asarray(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((64, 64), 0))
    soft = np.asarray(Image.fromarray(sharp).resize((8, 8)).resize((64, 64)))
    pale = (sharp // 4 + 96).astype(np.uint8)
    (_, _, _, of_sharp), (_, _, _, of_soft), (spread, *_, of_pale) = measured(np.stack([sharp, soft, pale]))
    assert of_soft < 0.05 * of_sharp and of_pale == pytest.approx(of_sharp, rel=0.05) and spread > 4


def test_the_list_of_fixes_is_applied_and_recorded(faulty: Path, checked: CheckedSet, tmp_path: Path, cli: Run) -> None:
    with (tmp_path / "fixes.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        for fix in checked.fixes():
            wrong = Path(fix.file).name == "wrong.png"
            action = "relabel" if wrong else fix.action
            writer.writerow((fix.file, fix.label, action, "grape" if wrong else "", fix.reason))
        writer.writerow(("kiwi/only.jpg", "kiwi", "drop", "", "mine"))
    done = cli("train", faulty, "--fixes", "fixes.csv", "--size", "32", "--name", "mended", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert re.search(r"by fixes.csv: \d+ left out, 1 relabelled", done.stdout + done.stderr)
    split = (tmp_path / "checkpoints/mended/split.csv").read_text()
    assert ("grape/copy.jpg" in split) + ("grape/grape_001.jpg" in split) == 1, "a copy and what it is of"
    assert "blank.png" not in split and "kiwi" not in split
    assert re.search(r"pineapple/wrong.png,\w+,grape,", split)
    assert "fixes: fixes.csv" in (tmp_path / "checkpoints/mended/config.yaml").read_text()
    assert load_config("features", data=faulty).data.fixes is None


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("grape/grape_000.jpg,grape,remove,,", "line 2: unknown action 'remove'; use one of drop, relabel, keep"),
        ("grape/grape_000.jpg,grape,relabel,,", "line 2: relabels to nothing; fill in new_label"),
        ("grape/none.jpg,grape,relabel,kiwi,", "grape/none.jpg is not in the set; make the list again"),
        ("grape/grape_000.jpg,kiwi,drop,,", "grape/grape_000.jpg is labelled grape there, not kiwi"),
    ],
)
def test_a_list_of_fixes_that_does_not_fit_is_refused(row: str, problem: str, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "fixes.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")
    with pytest.raises(DatasetError, match=re.escape(problem)):
        scan(drawn, sizes=[32], fixes=tmp_path / "fixes.csv")
    (tmp_path / "fixes.csv").write_text("file,label\n")
    with pytest.raises(DatasetError, match="its first line names file, label; it must name file"):
        read_fixes(tmp_path / "fixes.csv")


def test_outputs_of_a_check_cost_no_file(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        check(drawn, report=tmp_path / "mine")
    # An earlier check's page beside it makes the folder no other's.
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "check.html").write_text('<meta name="generator" content="fruitcnn 0">')
    (tmp_path / "ours" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        check(drawn, report=tmp_path / "ours")
    with pytest.raises(UsageError, match="no such folder"):
        check(drawn, report=tmp_path / "no" / "where")
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]  # noqa: PTH208


def test_the_page_lists_every_kind() -> None:
    text = (REPOSITORY / "docs/check.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (yes|no) \| (.+?) \|$", text, re.M)
    assert rows == [(kind.name, "yes" if kind.serious else "no", kind.text) for kind in KINDS]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not looked at")
@pytest.mark.parametrize("screen", [{"width": 390, "dark": True}, {"width": 1280}])
def test_the_page_shows_the_pictures_side_by_side(screen: dict[str, int], faulty: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    check(faulty, report=folder)
    check(faulty, report=folder)
    with Page(**screen) as page:  # type: ignore[arg-type]
        page.open(folder / "check.html")
        shown = page.run("[...document.querySelectorAll('#exact-copy figure code')].map(one => one.textContent)")
        assert "grape/copy.jpg" in shown and "grape/grape_001.jpg" in shown
        assert page.run("[...document.images].every(one => one.complete && one.naturalWidth > 0 || one.loading)")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
        assert page.run("document.querySelectorAll('#samples h3').length") == 4
        assert page.errors == [] and not [one for one in page.requests if not one.startswith("file:")]
        if (shots := os.environ.get("SHOTS")) is not None:
            page.screenshot(Path(shots) / f"check-{screen['width']}.png")


def test_a_missing_extra_is_told_before_any_picture_is_read(tmp_path: Path) -> None:
    lines = "import fruitcnn\nfruitcnn.check('nowhere', report='page')"
    done = subprocess.run([sys.executable, "-c", f"{without(['jinja2'])}\n{lines}"], capture_output=True, text=True)
    assert "jinja2 is missing; run: pip install 'fruitcnn[" in done.stderr and "nowhere" not in done.stderr
