"""The command from a pool of pictures to a list, and to a page whose list `train` takes, in a real browser."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from fruitcnn import checkpoint
from fruitcnn.cli import main
from fruitcnn.dataset.sources import read_listing
from fruitcnn.identify.identifier import Identifier
from fruitcnn.labelling.page import json_for_script
from fruitcnn.labelling.pool import read_pool
from tests.chromium import CHROMIUM, Page
from tests.conftest import REPOSITORY
from tests.test_cli import HEAVY, loaded_after
from tests.tiny import CARD, write_picture, write_tiny_model


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Done]
HOSTILE = "<img src=x onerror=alert(1)>, \"'&.png"
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not looked at")


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Bright pictures between two colours, from sure to unsure; dark ones, which the model knows nothing of."""
    folder = tmp_path / "pool"
    for step in range(12):
        write_picture(folder / "bright" / f"{step}.png", (220, 40 + 15 * step, 90))
    for step in range(3):
        write_picture(folder / "dark" / f"{step}.png", (8 * step, 4, 9))
    (folder / "note.txt").write_text("mine")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return write_tiny_model(tmp_path / "model" / checkpoint.ONNX)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`fruitcnn label-next ...` in this process, from the test's folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr("sys.argv", ["fruitcnn", "label-next", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, errors = capsys.readouterr()
        return Done(int(str(ended.value.code)), out, errors)

    return run


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_unsure_and_apart_from_them_the_unknown(command: Command, model: Path, pool: Path) -> None:
    done = command(model, pool, "--count", 4)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert [row["reason"] for row in rows] == ["unsure"] * 4 + ["unknown"] * 3
    assert all(Path(row["file"]).is_absolute() and Path(row["file"]).is_file() and row["label"] == "" for row in rows)
    # Red is 220 in all of them: the model is unsure where green comes near to it, or above.
    leads = [float(row["probability"]) - float(row["second_probability"]) for row in rows[:4]]
    assert leads == sorted(leads) and Path(rows[0]["file"]).name in ("11.png", "10.png")
    assert all(Path(row["file"]).parent.name == "bright" for row in rows[:4])
    assert [float(row["familiarity"]) < 0.25 for row in rows] == [False] * 4 + [True] * 3
    assert "15 pictures" in done.stderr and "4 that the model is unsure of, 3 unlike all that it knows" in done.stderr


def test_what_has_a_label_is_not_asked_for_again(command: Command, model: Path, pool: Path, tmp_path: Path) -> None:
    """By the model's split.csv, whatever the file is called now, and by the list that is given."""
    import hashlib

    known = [(pool / "bright" / f"{step}.png").read_bytes() for step in (10, 11)]
    lines = ["file,sha256,label,split,hash"]
    for split, data in zip(("train", "validation"), known, strict=True):
        lines.append(f"gone/{split}.png,{hashlib.sha256(data).hexdigest()},red,{split},")
    model.with_name(checkpoint.SPLIT).write_text("\n".join(lines) + "\n")
    done = command(model, pool, "--count", 50)
    names = {Path(row["file"]).name for row in rows_of(done.stdout) if row["reason"] == "unsure"}
    assert names == {f"{step}.png" for step in range(10)} and "left out 2 that it was made with" in done.stderr
    listed = tmp_path / "listed.csv"
    listed.write_text("file,label\n" + "".join(f"pool/bright/{step}.png,red\n" for step in range(9)))
    done = command(model, pool, "--data", listed)
    names = {Path(row["file"]).name for row in rows_of(done.stdout) if row["reason"] == "unsure"}
    assert names == {"9.png"}
    done = command(model, pool / "bright" / "10.png", pool / "bright" / "11.png")
    assert done.returncode == 1 and "all pictures that can be read have a label already; add new ones" in done.stderr


def test_mistakes_are_one_line_and_cost_no_file(command: Command, model: Path, pool: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "none").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    picture = pool / "bright" / "1.png"
    before = picture.read_bytes()
    for arguments, status, words in [
        ((model, pool, "--output", "mine.csv"), 2, "mine.csv: exists already; name another file, or replace it"),
        ((model, pool, "--page", picture, "--force"), 2, "is read by this command"),
        ((model, pool, "--page", "x", "--output", "x"), 2, "is named twice"),
        ((model, "nowhere"), 1, "nowhere: no such folder or file"),
        ((model, "none"), 1, "none: no pictures in this folder"),
        ((model, "broken"), 1, "none of the pictures can be read; see: "),
        ((model, pool, "--count", 0), 2, "--count"),
        (("nowhere", pool), 1, "nowhere: no such model"),
        ((model, pool, "--page", "no/such.html"), 2, "no such folder; make it first"),
    ]:
        done = command(*arguments)
        assert done.returncode == status and words in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr and done.stdout == ""
    assert picture.read_bytes() == before and (tmp_path / "mine.csv").read_text() == "mine"
    assert command(model, pool, "--output", "mine.csv", "--force").returncode == 0


def test_it_is_of_the_light_world(model: Path, pool: Path, tmp_path: Path) -> None:
    words = ["fruitcnn", "label-next", str(model), str(pool), "--page", str(tmp_path / "x.html")]
    loaded = loaded_after(f"sys.argv = {words!r}\nfrom fruitcnn.cli import main\nmain()", tmp_path)
    assert "onnxruntime" in loaded and not loaded & {*HEAVY, "jinja2", "markupsafe"}
    assert (tmp_path / "x.html").is_file()


def test_pictures_are_compared_by_what_the_network_makes_of_them(tmp_path: Path) -> None:
    """The shipped networks show their features; the tiny one, whose evidence comes from elsewhere, only its answers."""
    files = sorted((REPOSITORY / "dataset/sample/grape").glob("*.jpg"))[:6]
    for name, width in (("fruits", 1280), ("fruits-small", 1152)):
        identifier = Identifier(REPOSITORY / "checkpoints" / name / checkpoint.ONNX, features=True)
        result = identifier.identify(files[0])
        assert result.features is not None and result.features.shape == (width,) and result.features.dtype == np.float32
        whole = np.stack([identifier.identify(file).features for file in files])
        found = read_pool(identifier, files, labelled=())
        cosines = (whole @ whole.T) / np.outer(*(np.linalg.norm(whole, axis=1),) * 2)
        assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
        # A projection to 128 numbers keeps which of them are alike.
        above = np.triu_indices(6, 1)
        assert np.corrcoef((found.vectors @ found.vectors.T)[above], cosines[above])[0, 1] > 0.6
        assert Identifier(identifier.file).identify(files[0]).features is None, "only where they are asked for"
    tiny = Identifier(write_tiny_model(tmp_path / "tiny.onnx"), features=True)
    assert tiny.identify(files[0]).features is None
    found = read_pool(tiny, files, labelled=())
    assert np.allclose(found.vectors**2, [answer.probabilities for answer in found.answers], atol=1e-6)


def test_features_are_those_that_the_evidence_is_made_of(tmp_path: Path) -> None:
    """By the weights in the file: the logits are a linear layer of them."""
    import onnx

    file = REPOSITORY / "checkpoints/fruits-small" / checkpoint.ONNX
    graph = onnx.load(file).graph
    node = next(node for node in graph.node if "evidence" in node.output)
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernel, bias = tensors[node.input[1]][:, :, 0, 0], tensors[node.input[2]]
    result = Identifier(file, features=True).identify(REPOSITORY / "dataset/sample/grape/grape_001.jpg")
    assert result.features is not None
    logits = kernel @ result.features + bias
    assert np.allclose(np.exp(logits) / np.exp(logits).sum(), result.probabilities, atol=1e-5)


def test_no_text_ends_the_script_that_holds_it() -> None:
    data = {"a": "</script><!--<script>&\u2028\udc80", "b": [HOSTILE]}
    text = json_for_script(data)
    assert not set("<>&") & set(text) and text.isascii() and json.loads(text) == data


@pytest.fixture
def page(command: Command, model: Path, pool: Path, tmp_path: Path) -> Iterator[Page]:
    """The page of the pool with a hostile name in it, beside a list of what has a label."""
    write_picture(pool / "bright" / HOSTILE, (221, 219, 30))
    write_picture(tmp_path / "old" / "red" / "1.png", (250, 9, 9))
    done = command(model, pool, "--count", 4, "--page", "next.html", "--data", tmp_path / "old")
    assert done.returncode == 0, done.stderr
    with Page() as page:
        page.open(tmp_path / "next.html")
        yield page
        assert page.errors == [] and page.requests == [(tmp_path / "next.html").resolve().as_uri()]


def names_of(page: Page) -> list[str]:
    return list(page.run("data.pictures.map((one) => one.file)"))


@needs_chromium
def test_keys_label_skip_and_undo_and_the_list_is_one_that_training_reads(page: Page, tmp_path: Path) -> None:
    files = names_of(page)
    assert len(files) == 7 and any(file.endswith(HOSTILE) for file in files)
    assert page.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.run("document.getElementById('save').disabled") and page.run("document.getElementById('undo').disabled")
    for key in ("1", "2", "0", "3", "9", "u", "2", " "):
        page.press(key)
    state = "document.getElementById('state').innerText"
    # 9 is no class of three; U takes back the 3; the blank skips the fifth.
    assert page.run(state) == "3 labelled, 2 skipped, 2 to go"
    page.run("document.querySelectorAll('.strip button')[6].click()")
    page.press("n")
    for key in ("k", "i", "w", "i", "1", "Enter"):
        page.press(key)
    assert page.run(state) == "4 labelled, 2 skipped, 1 to go"
    assert page.run("document.querySelector('#classes').innerText").split() == [
        "red",
        "1",
        "green",
        "2",
        "blue",
        "3",
        "kiwi1",
        "4",
    ]
    # It goes on with the one that nothing was said of.
    assert page.run("document.getElementById('file').textContent") == files[5]
    page.press("4")
    assert page.run(state) == "5 labelled, 2 skipped, 0 to go"
    # What was said before is said again.
    page.run("document.querySelectorAll('.strip button')[0].click()")
    page.press("3")
    page.press("Backspace")
    assert page.run(state) == "5 labelled, 2 skipped, 0 to go"
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    saved = page.download("#save", downloads)
    assert saved.name == "labelled.csv"
    listing = read_listing(saved)
    assert all(record.path.is_file() for record in listing.records) and listing.labels == ["green", "kiwi1", "red"]
    found = {str(record.path): record.label for record in listing.records}
    expected = {files[0]: "red", files[1]: "green", files[3]: "green", files[5]: "kiwi1", files[6]: "kiwi1"}
    assert found == expected | {str(tmp_path / "old" / "red" / "1.png"): "red"}


@needs_chromium
def test_names_are_shown_and_not_obeyed_and_classes_come_once(page: Page) -> None:
    number = next(index for index, file in enumerate(names_of(page)) if file.endswith(HOSTILE))
    page.run(f"document.querySelectorAll('.strip button')[{number}].click()")
    assert page.run("document.getElementById('file').innerText").endswith(HOSTILE)
    assert page.run("document.querySelectorAll('[onerror]').length") == 0
    name = "document.getElementById('name')"
    for typed, classes in ((HOSTILE, 4), ("RED", 4), ("  ", 4), ("Unknown", 4)):
        page.run(f"{name}.value = {json.dumps(typed)}; document.querySelector('#other button').click()")
        assert page.run("document.querySelectorAll('#classes button').length") == classes, typed
    assert page.run(f"{name}.validationMessage").startswith("No class can have this name")
    assert page.run("document.querySelectorAll('[onerror]').length") == 0
    assert page.run("[...said.values()]") == [HOSTILE, "red"]


@needs_chromium
def test_what_is_not_saved_is_not_lost_by_a_slip(page: Page, tmp_path: Path) -> None:
    leaving = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.run(leaving) is False
    page.press("1")
    assert page.run(leaving) is True
    page.download("#save", tmp_path)
    assert page.run(leaving) is False
    page.press("Control+z")
    assert page.run(leaving) is True and page.run("said.size") == 0


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_picture_and_classes_at_once_in_both_schemes(
    command: Command, model: Path, pool: Path, tmp_path: Path, dark: bool
) -> None:
    assert command(model, pool, "--page", "next.html").returncode == 0
    with Page(width=390, height=844, dark=dark) as page:
        page.open(tmp_path / "next.html")
        assert page.run("document.documentElement.scrollWidth") <= 390
        assert page.run("document.querySelector('#classes').getBoundingClientRect().bottom") < 844
        heights = page.run(
            "[...document.querySelectorAll('#controls button')].map((one) => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 40, "fingers need room"
        paper, ink = page.run(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        lightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
        assert (lightness[0] < lightness[1]) == dark and abs(lightness[0] - lightness[1]) > 450
        assert page.errors == []


@needs_chromium
def test_many_classes_and_names_that_are_no_text_come_back(command: Command, tmp_path: Path) -> None:
    import dataclasses

    names = [" 1 .png", "na\udcefve\udc80.png", "\U0001f347.png", 'a, "b".png']
    for number, name in enumerate(names):
        write_picture(tmp_path / "pool" / f"{number}.png", (200, 150 + number, 90)).rename(tmp_path / "pool" / name)
    card = dataclasses.replace(CARD, outputs=CARD.outputs[:1])
    model = write_tiny_model(tmp_path / "m.onnx", card)
    done = command(model, "pool", "--page", "next.html", "--output", "next.csv")
    assert done.returncode == 0 and "unlike" not in done.stderr, done.stderr
    with Page() as page:
        page.open(tmp_path / "next.html")
        for _ in names:
            page.press("1")
        (tmp_path / "Downloads").mkdir()
        saved = page.download("#save", tmp_path / "Downloads")
    records = read_listing(saved).records
    assert {record.path.name for record in records} == set(names) and all(record.path.is_file() for record in records)
    # The list from the command has the same names, once its labels are filled in.
    text = (tmp_path / "next.csv").read_bytes().decode("utf-8", "surrogateescape")
    filled = text.replace(",,unsure", ",red,unsure").encode("utf-8", "surrogateescape")
    (tmp_path / "next.csv").write_bytes(filled)
    assert {record.path.name for record in read_listing(tmp_path / "next.csv").records} == set(names)
