"""The page in a real browser: what it shows, what its clicks and keys do, and that it asks nobody for anything."""

import contextlib
import csv
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from fruitcnn import checkpoint
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.sources import read_listing
from fruitcnn.evaluation.album import Album
from fruitcnn.evaluation.evaluation import Evaluation, familiarity_or_confidence
from fruitcnn.evaluation.measured import measure
from fruitcnn.evaluation.predictions import Prediction, Predictions, write_predictions
from fruitcnn.evaluation.sample import Sample
from fruitcnn.identify.identifier import Identifier
from fruitcnn.report.page import write_report
from fruitcnn.report.relabel import relabel_table
from fruitcnn.report.run_report import run_evaluation, write_run_report
from tests.chromium import CHROMIUM, Page
from tests.predictions import read_predictions
from tests.tiny import CARD, write_picture, write_tiny_model

SECTIONS = ("summary", "mistakes", "confusion", "classes", "calibration", "coverage", "refused", "outside", "labels")
# Names that a page must show and not obey.
HOSTILE = "<img src=x onerror=alert(1)>, \"'&.png"

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not looked at")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of three colours in two splits; two green ones are labelled red, one of them with a hostile name."""
    folder = tmp_path_factory.mktemp("report") / "colours"
    rng = np.random.default_rng(5)
    rows = ["file,label,split,duplicate_group"]
    for number in range(60):
        colour = rng.integers(20, 60, size=3)
        colour[number % 3] = 255 if number in (1, 4) else rng.integers(150, 250)
        label = CARD.labels[number % 3]
        name, label = (HOSTILE, "red") if number == 1 else (f"{number}.png", "red" if number == 4 else label)
        write_picture(folder / name, tuple(int(value) for value in colour))  # type: ignore[arg-type]
        quoted = '"' + name.replace('"', '""') + '"'
        rows.append(f"{quoted},{label},{'validation' if number < 45 else 'train'},{number % 50}")
    (folder.parent / "colours.csv").write_text("\n".join(rows) + "\n")
    return folder.parent / "colours.csv"


@pytest.fixture(scope="module")
def report(data: Path) -> Path:
    """The report of a run of the tiny model, with two pictures of other things."""
    folder = data.parent / "run"
    folder.mkdir()
    identifier = Identifier.load(write_tiny_model(folder / checkpoint.ONNX))
    photos = [photo for photo in read_listing(data).records if photo.split == "validation"]
    others = [
        write_picture(data.parent / "night.png", (2, 2, 2)),
        write_picture(data.parent / "snow.png", (250, 250, 250)),
    ]
    outsiders = [Record(str(path), path, "", "outside") for path in others]
    known, unknown = (_predictions(identifier, some) for some in (photos, outsiders))
    probabilities, familiarity, evidence = CARD.outputs
    card = dataclasses.replace(CARD, outputs=(probabilities, familiarity | {"refuse_below": 0.4}, evidence))
    evaluation = Evaluation.of("tiny", card, "validation", known, outside=unknown)
    target = folder / checkpoint.REPORT
    _write_report(target, evaluation, identifier, photos + outsiders, data=data, listing=read_listing(data).records)
    return target


def _write_report(
    target: Path,
    evaluation: Evaluation,
    identifier: Identifier,
    photos: list[Record],
    *,
    data: Path,
    listing: list[Record],
) -> None:
    paths = {(photo.file, photo.split): photo.path for photo in photos}
    with contextlib.closing(Album(identifier, paths)) as album:
        write_report(target, evaluation, album, data=data, listing=listing)


def _predictions(identifier: Identifier, photos: list[Record]) -> Predictions:
    rows = []
    for photo in photos:
        answer = identifier.identify(photo.path)
        rows.append(Prediction(photo.file, photo.split, photo.label, answer.probabilities, answer.familiarity))
    return Predictions(identifier.card.labels, tuple(rows))


@pytest.fixture
def page(report: Path) -> Iterator[Page]:
    with Page() as page:
        page.open(report)
        yield page
        assert page.errors == []
        assert page.requests == [report.resolve().as_uri()]


@needs_chromium
def test_every_section_is_there_and_shows_its_pictures(page: Page) -> None:
    for section in SECTIONS:
        assert page.run(f"document.getElementById('{section}').getBoundingClientRect().height") > 40, section
    assert page.run("document.querySelector('.accuracy').innerText") == "95.6% right"
    assert page.run("document.title") == "tiny: 95.6% right"
    assert page.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    # The two wrong labels, each with its evidence beside it.
    assert page.run("document.querySelectorAll('#mistakes .card').length") == 2
    assert page.run("document.querySelectorAll('#mistakes .card img').length") == 4
    words = page.run("document.querySelector('#mistakes').innerText")
    assert HOSTILE in words and re.search(r"green \d\d\.\d%; label red \d+\.\d%", words)
    assert page.run("document.querySelectorAll('#calibration svg .dot').length") >= 1
    assert page.run("document.querySelectorAll('#coverage svg polyline').length") == 2
    assert "snow.png" in page.run("document.querySelector('#outside').innerText")
    assert page.run("document.querySelectorAll('#outside .card img').length") == 2
    assert "night.png" not in page.run("document.querySelector('#outside').innerText")
    # One image each: places are shown where an answer is wrong, not where it was refused.
    assert page.run("document.querySelectorAll('#refused .card.single img').length") > 0
    refused = page.run("document.querySelectorAll('#refused .card').length")
    assert refused == int(page.run("document.querySelector('#refused .count').innerText")) > 0


@needs_chromium
def test_a_cell_shows_its_pictures_by_mouse_and_by_keyboard(page: Page) -> None:
    assert page.run("document.querySelectorAll('#cell .card').length") == 0
    page.run("document.querySelector('[data-cell=\"0-1\"]').click()")
    assert "Labelled red, answered green: 2" in page.run("document.getElementById('cell').innerText")
    assert page.run("document.querySelectorAll('#cell .card').length") == 2
    page.run("document.querySelector('[data-cell=\"2-2\"]').focus()")
    page.press("Enter")
    assert "Labelled blue, answered blue: 15" in page.run("document.getElementById('cell').innerText")
    assert page.run("document.querySelectorAll('[aria-pressed=true]').length") == 1


@needs_chromium
def test_the_bar_that_follows_the_ticks_never_covers_the_title(page: Page) -> None:
    """The title of the labels has just come up at the window's lower end."""
    page.run("document.querySelector('#labels-title').scrollIntoView({block: 'end'}); scrollBy(0, 9)")
    place = "const box = document.querySelector('#labels-title').getBoundingClientRect();"
    over = page.run(f"(() => {{ {place} return document.elementFromPoint(box.left + 9, box.top + 9).id }})()")
    assert over == "labels-title"


@needs_chromium
def test_ticked_labels_come_out_as_a_list_that_training_reads(page: Page, data: Path, tmp_path: Path) -> None:
    assert page.run("document.getElementById('download').disabled")
    page.run("document.querySelector('#labels input').focus()")
    page.press("Space")
    page.run(
        "{ const choice = document.querySelectorAll('#labels select')[1]; choice.value = -1;"
        " choice.dispatchEvent(new Event('change')) }"
    )
    assert page.run("document.getElementById('ticked').innerText") == "2 ticked"
    first, second = page.run("[...document.querySelectorAll('#labels .card code')].map((one) => one.innerText)")
    saved = page.download("#download", tmp_path)
    there = data.parent / "relabelled.csv"
    assert saved.name == there.name
    there.write_bytes(saved.read_bytes())
    before, after = ({photo.file: photo for photo in read_listing(file).records} for file in (data, there))
    there.unlink()
    # Where the list lies, each file is found again; one label is changed, one picture left out, all else the same.
    assert all(photo.path.is_file() for photo in after.values()) and len(after) == len(before) - 1
    assert after[f"colours/{first}"].label == "green" and f"colours/{second}" not in after
    for file, photo in before.items():
        if file not in (first, second):
            found = after[f"colours/{file}"]
            assert (found.label, found.split, found.group) == (photo.label, photo.split, photo.group)


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_without_sideways_scrolling_in_both_schemes(report: Path, dark: bool) -> None:
    with Page(width=390, height=844, dark=dark) as page:
        page.open(report)
        assert page.run("document.documentElement.scrollWidth") <= 390
        paper, ink = page.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        lightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
        assert (lightness[0] < lightness[1]) == dark and abs(lightness[0] - lightness[1]) > 450
        # Fingers need room.
        assert page.run("document.querySelector('[data-cell]').getBoundingClientRect().height") >= 40
        assert page.errors == []


def test_the_page_is_one_small_file_and_names_no_other(report: Path) -> None:
    text = report.read_text()
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert "<img src=x" not in text and report.stat().st_size < 400_000


def _write_run_report(folder: Path, predictions: Predictions, data: Path, *, chose_epoch: bool) -> str:
    metrics = {}
    for split in ("train", "validation"):
        rows = predictions.readable(split)
        scores = familiarity_or_confidence(rows)
        metrics[split] = measure(Sample.of(*rows.arrays(), scores=scores, refuse_below=0.4), predictions.labels)
    listing = read_listing(data).records
    identifier = Identifier.load(folder)
    evaluation = run_evaluation(identifier, predictions, metrics, chose_epoch=chose_epoch)
    write_run_report(identifier, evaluation, predictions, data=data, listing=listing)
    return (folder / checkpoint.REPORT).read_text()


def test_a_run_has_the_same_report_from_what_its_training_knows(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    identifier = Identifier.load(write_tiny_model(folder / checkpoint.ONNX))
    found = _predictions(identifier, read_listing(data).records)
    # A mistake among the training pictures, which are not shown.
    last = dataclasses.replace(found.rows[-1], probabilities=(0.9, 0.05, 0.05))
    assert (last.split, last.label) == ("train", "blue")
    text = _write_run_report(folder, Predictions(found.labels, (*found.rows[:-1], last)), data, chose_epoch=True)
    assert text.count(last.file) == 1, "in the list of the whole set alone"
    assert "of 45 pictures of the validation split" in " ".join(text.split())
    assert "these pictures chose the epoch" in text and "fewer than 10 training pictures of: red (5)" in text


@pytest.mark.parametrize("out_of_fold", [True, False])
def test_labels_are_judged_by_answers_of_models_that_have_not_learned_from_them(
    data: Path, tmp_path: Path, out_of_fold: bool
) -> None:
    """The run is sure of every label but 3.png's, as one is that has learned them; out of fold, 45.png is another."""
    identifier = Identifier.load(write_tiny_model(tmp_path / checkpoint.ONNX))
    sure, other = ((0.98, 0.01, 0.01), (0.01, 0.98, 0.01), (0.01, 0.01, 0.98)), (0.005, 0.005, 0.99)
    rows = []
    for photo in read_listing(data).records:
        own = (0.45, 0.5, 0.05) if photo.file == "3.png" else sure[CARD.labels.index(photo.label)]
        held_out = (other if photo.file == "45.png" else own) if out_of_fold and photo.split == "train" else ()
        rows.append(Prediction(photo.file, photo.split, photo.label, own, 0.5, held_out=held_out))
    predictions = Predictions(identifier.card.labels, tuple(rows))
    write_predictions(predictions, tmp_path / checkpoint.PREDICTIONS)
    assert read_predictions(tmp_path / checkpoint.PREDICTIONS) == predictions
    text = " ".join(_write_run_report(tmp_path, predictions, data, chose_epoch=False).split())
    assert f"Looked at: {'60' if out_of_fold else '45'} of 60 pictures" in text
    assert ('"suggested": ["blue"]' in text) == out_of_fold
    assert text.count('"map": "data:image/jpeg') == 1 + out_of_fold, "what spoke for the mistake, and for the label"
    assert '"labelRate": "45.0%"' in text and '"labelRate": "98.0%"' not in text
    assert "these pictures chose the epoch" not in text


def test_300_pictures_stay_below_5_mb_and_many_classes_have_pairs_instead_of_a_table(tmp_path: Path) -> None:
    # Photographs are simulated by noise, which no picture of a fruit needs more bytes than.
    rng = np.random.default_rng(6)
    from PIL import Image

    labels = tuple(f"class {n}" for n in range(30))
    photos, rows = [], []
    for n in range(300):
        path = tmp_path / "data" / labels[n % 30] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(256, size=(40, 40, 3), dtype=np.uint8))
        coarse.resize((200, 200)).save(path)
        photos.append(Record(path.name, path, labels[n % 30]))
        answer = (n % 30 + (n % 4 == 0)) % 30
        rows.append(Prediction(path.name, "", labels[n % 30], tuple(0.9 * np.eye(30)[answer] + 0.1 / 30)))
    card = dataclasses.replace(CARD, labels=labels)
    evaluation = Evaluation.of("many", card, "", Predictions(labels, tuple(rows)))
    plain = dataclasses.replace(CARD, outputs=CARD.outputs[:1])
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx", plain))
    target = tmp_path / "report.html"
    _write_report(target, evaluation, identifier, photos, data=tmp_path / "data", listing=photos)
    assert target.stat().st_size < 5_000_000
    text = target.read_text()
    assert 'class="matrix"' not in text
    heat = re.search(r'<svg class="heat".*?</svg>', text)
    assert heat
    cells = [cell.attrib for cell in ElementTree.fromstring(heat[0])]
    places = [(float(cell["y"]) / 20, float(cell["x"]) / 20, cell["class"]) for cell in cells]  # 600 pixels, 30 classes
    assert places == sorted(
        (place[0], place[1], "right" if place[0] == place[1] else "wrong")
        for place in {(n % 30, (n % 30 + (n % 4 == 0)) % 30) for n in range(300)}
    )
    assert {(cell["width"], cell["height"]) for cell in cells} == {("20.00", "20.00")}
    assert {cell["opacity"] for cell in cells} == {"0.57", "1.00"}, "half of a label's pictures, or all of them"
    assert re.search(r">\d+: class \d+, answered class \d+</button>", text)


@pytest.mark.parametrize("count", [3, 30])
def test_names_of_runs_and_classes_are_shown_and_not_obeyed(count: int, tmp_path: Path) -> None:
    labels = tuple(f"{number} {HOSTILE}" for number in range(count))
    card, plain = dataclasses.replace(CARD, labels=labels), dataclasses.replace(CARD, outputs=CARD.outputs[:1])
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx", plain))
    photos = [Record(f"{n}.png", write_picture(tmp_path / f"{n}.png", (n, 0, 0)), labels[n]) for n in range(count)]
    probabilities = np.roll(np.eye(count), 1, axis=0)
    rows = [
        Prediction(photo.file, "", photo.label, tuple(row)) for photo, row in zip(photos, probabilities, strict=True)
    ]
    evaluation = Evaluation.of(HOSTILE, card, "", Predictions(labels, tuple(rows)), warnings=(HOSTILE,))
    target = tmp_path / "report.html"
    _write_report(target, evaluation, identifier, photos, data=tmp_path, listing=photos)
    text = target.read_text()
    assert "<img src=x" not in text and text.count("&lt;img src=x") > count


def test_damaged_and_unreadable_pictures_are_listed(tmp_path: Path) -> None:
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    answers = [Prediction(f"{number}.png", "test", CARD.labels[number % 2], (0.6, 0.3, 0.1)) for number in range(4)]
    others = [
        Prediction("half.jpg", "test", CARD.labels[0], (0.6, 0.3, 0.1), warning="ends in the middle"),
        Prediction("none.jpg", "test", CARD.labels[0], error="is no picture"),
    ]
    pages = []
    for rows in (answers, answers + others):
        known = Predictions(CARD.labels, tuple(rows))
        nobody = Predictions(CARD.labels, ())
        evaluation = Evaluation.of("tiny", CARD, "test", known, outside=nobody)
        _write_report(tmp_path / "report.html", evaluation, identifier, [], data=tmp_path, listing=[])
        pages.append(re.sub(r"\s+", " ", (tmp_path / "report.html").read_text()))
    assert "half.jpg" not in pages[0] and "Could not be read" not in pages[0]
    for title, row in (
        ("Decoded with damage", "half.jpg: ends in the middle"),
        ("Could not be read", "none.jpg: is no picture"),
    ):
        assert re.search(f"{title} <span class=.count.>1</span></h2> <p>[^<]+</p> <ul> <li>{row}</li> </ul>", pages[1])


@pytest.mark.parametrize(
    ("recipe", "words"), [("features", ""), ("small", " -r small"), ("mine", " -r RECIPE"), (None, " -r RECIPE")]
)
def test_the_line_that_trains_again_names_the_recipe(recipe: str | None, words: str, tmp_path: Path) -> None:
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    card = dataclasses.replace(CARD, provenance={} if recipe is None else {"recipe": recipe})
    known = Predictions(CARD.labels, (Prediction("a.png", "test", CARD.labels[0], (0.6, 0.3, 0.1)),))
    evaluation = Evaluation.of("tiny", card, "test", known, outside=Predictions(CARD.labels, ()))
    _write_report(tmp_path / "report.html", evaluation, identifier, [], data=tmp_path, listing=[])
    assert f"/relabelled.csv{words}</code>" in (tmp_path / "report.html").read_text()


def test_a_list_finds_its_pictures_from_the_folder_of_the_set(tmp_path: Path) -> None:
    photos = [
        Record("a/1.png", tmp_path / "set" / "a" / "1.png", "a"),
        Record("b/2.png", tmp_path / "set" / "b" / "2.png", "b"),
    ]
    (tmp_path / "set").mkdir()
    table = relabel_table(tmp_path / "set", photos, ["a", "b"], ["b/2.png", "gone.png"])
    assert table["columns"] == ["file", "label"] and table["rows"] == [["a/1.png", "a"], ["b/2.png", "b"]]
    assert table["suspects"] == [1, None] and table["folder"] == "set"
    beside = relabel_table(tmp_path / "set.csv", photos, ["a", "b"], [])
    assert list(csv.reader([",".join(row) for row in beside["rows"]])) == [["set/a/1.png", "a"], ["set/b/2.png", "b"]]


@needs_chromium
def test_names_with_blanks_or_bytes_that_are_no_text_come_back_in_the_saved_list(tmp_path: Path) -> None:
    names = [" 1 .png", "na\udcefve\udc80.png", "\U0001f347.png", 'a, "b".png', "4.png"]
    data, target = tmp_path / "set", tmp_path / "report.html"
    identifier = Identifier.load(write_tiny_model(tmp_path / "model.onnx"))
    for number, name in enumerate(names):
        label = CARD.labels[number % 2]
        write_picture(data / label / f"{number}.png", (40, 200, 40)).rename(data / label / name)
    write_picture(data / "blue" / "5.png", (40, 40, 200))
    listing = read_listing(data).records
    known = _predictions(identifier, listing)
    # The labels of the red ones look wrong.
    _write_report(target, Evaluation.of("m", CARD, "", known), identifier, listing, data=data, listing=listing)
    with Page() as page:
        page.open(target)
        page.run("document.querySelector('#labels input').click()")
        (data / "relabelled.csv").write_bytes(page.download("#download", tmp_path).read_bytes())
    after = read_listing(data / "relabelled.csv").records
    assert sorted(photo.file for photo in after) == sorted(photo.file for photo in listing)
    assert all(photo.path.is_file() for photo in after)
