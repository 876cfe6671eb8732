"""What a notebook shows: HTML, tables of results, and the notebook of the documentation."""

import base64
import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
from PIL import Image

import fruitcnn
from fruitcnn import Identification, Identifier
from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.request import Request
from tests.conftest import REPOSITORY
from tests.missing import without
from tests.tiny import CARD, write_picture, write_tiny_model

HOSTILE = '<script>alert("red")</script>'


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose first label is an attack."""
    card = dataclasses.replace(CARD, labels=(HOSTILE, "green", "blue"))
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model.onnx", card)


class Shown(HTMLParser):
    """The texts of a piece of HTML, and its pictures; every tag that is opened must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.pictures: list[Image.Image] = []
        self.widths: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        if tag == "img":
            kind, _, data = (dict(attrs)["src"] or "").partition(",")
            assert kind == "data:image/jpeg;base64"
            self.pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))
            return
        self._open.append(tag)
        self.widths += re.findall(r"height:100%;width:([\d.]+%)", dict(attrs).get("style") or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_an_answer_shows_its_picture_its_bars_and_where_it_comes_from(model: Path) -> None:
    identifier = Identifier.load(model)
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, 16:] = (255, 40, 0)
    result = identifier.identify(pixels, evidence=True)
    shown = Shown(result._repr_html_())
    picture, explained = shown.pictures
    assert picture.size == explained.size == (8, 4), "in its own shape, as large as the network saw it"
    assert np.abs(np.asarray(picture, int)[:, -1].mean(0) - (255, 40, 0)).max() < 24
    colours = np.asarray(explained, int)
    assert (colours[:, -1, 0] - colours[:, -1, 2]).mean() > 50, "orange where it speaks for red"
    assert shown.texts[:3] == ["unknown", "<ndarray>", f"familiarity {result.familiarity:.3f}, less than 0.25"]
    order = np.argsort(-np.array(result.probabilities))
    assert shown.widths == [f"{result.probabilities[index]:.2%}" for index in order]
    assert [text for text in shown.texts if text in result.labels][-3:] == [result.labels[index] for index in order]


def test_an_answer_without_picture_evidence_or_familiarity_is_shown_too() -> None:
    result = Identification("a\n<b>.jpg", tuple("abcdefghij"), (0.1,) * 10, warning="cut off & grey")
    shown = Shown(result._repr_html_())
    assert not shown.pictures and len(shown.widths) == 8
    assert {"a", r"a\n<b>.jpg", "warning: cut off & grey"} <= set(shown.texts)
    evidence = np.zeros((10, 2, 2), np.float32)
    kept = dataclasses.replace(result, picture=Image.new("RGB", (8, 8)), evidence=evidence)
    assert len(Shown(kept._repr_html_()).pictures) == 2
    assert len(Shown(kept.top(3)._repr_html_()).pictures) == 1, "whose evidence is whose can't be told any more"


def test_an_unknown_picture_says_so(model: Path) -> None:
    shown = Shown(Identifier.load(model).identify(np.zeros((8, 8, 3), np.uint8))._repr_html_())
    assert shown.texts[0] == "unknown" and "familiarity 0.000, less than 0.25" in shown.texts


def test_what_is_identified_by_the_million_keeps_no_picture(model: Path) -> None:
    (result,) = Identifier.load(model).identify_many([np.zeros((8, 8, 3), np.uint8)])
    assert isinstance(result, Identification) and result.picture is None


def test_a_model_says_what_it_is(model: Path) -> None:
    text = repr(Identifier.load(model))
    assert text == f"<Identifier: {model}, 8 px: {HOSTILE}, green, blue>"


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in folders of classes: a red one among the green ones, and one that can't be read."""
    folder = tmp_path_factory.mktemp("coloured")
    for name, colour in [
        ("red/1.png", (255, 0, 0)), ("red/2.png", (200, 0, 0)), ("green/1.png", (0, 255, 0)),
        ("green/2.png", (255, 0, 9)), ("blue/1.png", (0, 0, 255)),
    ]:  # fmt: skip
        write_picture(folder / name, colour)
    (folder / "blue" / "2.png").write_bytes(b"none")
    return folder


def test_an_evaluation_shows_its_figures_and_what_is_taken_for_what(coloured: Path, tmp_path: Path) -> None:
    found = fruitcnn.evaluate(write_tiny_model(tmp_path / "a<b.onnx"), coloured)
    shown = Shown(found._repr_html_())
    assert shown.texts[:2] == ["a<b", " on 5 labelled pictures"] and "1 more could not be read" in shown.texts
    figures = {one.metric.name: one for one in found.metrics.figures.values()}
    for name, figure in figures.items():
        place = shown.texts.index(name)
        assert shown.texts[place + 1 : place + 3] == [figure.value_text, figure.interval_text]
    matrix = shown.texts[shown.texts.index("true, answered") :]
    assert " ".join(matrix) == "true, answered red green blue red 2 0 0 green 1 1 0 blue 0 0 1"
    colours = re.findall(r"background:rgba\(([\d,.]+)\)", found._repr_html_())
    right, few, none = "46,160,67,0.60", "242,140,40,0.40", "242,140,40,0.00"
    assert colours == [right, none, none, few, "46,160,67,0.40", none, none, none, right]
    warned = dataclasses.replace(found, warnings=("<few> pictures",))
    assert "&lt;few&gt; pictures" in warned._repr_html_()


def test_a_large_confusion_matrix_is_told_by_its_largest_cells() -> None:
    labels = tuple(f"class {number}" for number in range(13))
    targets = np.repeat(np.arange(13), 3)
    answers = targets.copy()
    answers[[0, 1, 5]] = 7, 7, 2
    probabilities = np.eye(13)[answers] * 0.8 + 0.2 / 13
    rows = tuple(
        Prediction(str(number), "test", labels[target], tuple(row))
        for number, (target, row) in enumerate(zip(targets, probabilities.tolist(), strict=True))
    )
    card = dataclasses.replace(CARD, labels=labels)
    shown = Shown(Evaluation.of("many", card, "test", Predictions(labels, rows))._repr_html_())
    assert shown.texts[1] == " on 39 labelled pictures of the test split"
    listed = shown.texts[shown.texts.index("answered") :]
    assert listed == ["answered", "pictures", "class 0", "class 7", "2", "class 1", "class 2", "1"]


def test_results_become_the_columns_of_the_csv(model: Path, coloured: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(coloured.rglob("*.png"))]
    identifier = Identifier.load(model)
    columns = fruitcnn.to_columns(identifier.identify_many(paths))
    identify_paths(paths, Request(model=str(model), format="csv", output=tmp_path / "out.csv"))
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text("utf-8").splitlines()))
    assert list(columns) == list(rows[0])
    for name, values in columns.items():
        assert ["" if value is None else str(value) for value in values] == [row[name] for row in rows]


@pytest.mark.parametrize("library", [pandas, polars])
def test_results_become_a_table_of_numbers(library: type, model: Path, coloured: Path) -> None:
    paths = [b"none", *sorted(coloured.rglob("*.png"))]
    results = list(Identifier.load(model).identify_many(paths))
    table = library.DataFrame(fruitcnn.to_columns(results))
    assert table.shape == (7, 9) and table["green"].mean() == pytest.approx(
        np.mean([one.probabilities[1] for one in results if isinstance(one, Identification)])
    )
    assert table["identify_label"].to_list().count("green") == 1
    nothing = library.DataFrame(fruitcnn.to_columns(results[:1]))
    assert list(nothing.columns) == ["file", "identify_label", "identify_rate", "error", "warning"]


def test_a_label_that_is_called_like_a_column_has_its_own() -> None:
    one, other = (Identification("x", ("error", "b"), answer) for answer in ((0.25, 0.75), (0.9, 0.1)))
    columns = fruitcnn.to_columns([one.top(1), other])
    assert columns["b"] == [0.75, 0.1] and columns["probability_error"] == [None, 0.9]
    assert columns["error"] == [None, None] and "familiarity" not in columns


def test_showing_an_evaluation_needs_the_light_install_alone(model: Path, coloured: Path, tmp_path: Path) -> None:
    plain, picture = write_tiny_model(tmp_path / "plain.onnx"), str(coloured / "red" / "1.png")
    heavy = ("torch", "keras", "matplotlib", "jinja2", "pandas", "polars", "sklearn", "IPython", "pydantic", "onnx")
    code = f"""
import sys
import fruitcnn
found = fruitcnn.Identifier.load({str(model)!r}).identify({picture!r}, evidence=True)
assert "<img" in found._repr_html_() and fruitcnn.to_columns([found])["file"] == [{picture!r}]
assert "<table" in fruitcnn.evaluate({str(plain)!r}, {str(coloured)!r})._repr_html_()
print(*sorted({set(heavy)!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


def test_the_notebook_of_the_documentation_runs_without_torch(tmp_path: Path) -> None:
    """Cell after cell as a notebook runs them, in its folder; what a cell ends in is shown."""
    notebook = json.loads((REPOSITORY / "docs" / "notebook.ipynb").read_text("utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"]), "outputs stay out of the repository"
    code = f"""{without(("torch", "keras", "lightning", "onnxscript", "matplotlib"))}
import ast, json
from pathlib import Path
names, shown = {{}}, []
for cell in json.loads(sys.stdin.read()):
    *body, last = ast.parse(cell).body
    if isinstance(last, ast.Expr):
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        html = getattr(value, "_repr_html_", None)
        shown.append(html() if html else repr(value))
    else:
        exec(compile(cell, "cell", "exec"), names)
Path(sys.argv[1]).write_text(json.dumps(shown))
"""
    words = [sys.executable, "-W", "error", "-c", code, tmp_path / "shown.json"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        words, cwd=REPOSITORY / "docs", input=json.dumps(cells), capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    accuracy, answer, table, evaluation, searched, model = json.loads((tmp_path / "shown.json").read_text())
    assert float(accuracy[1:].split(",")[0]) > 0.8 and "report.html" in accuracy
    assert len(Shown(answer).pictures) == 2 and "familiarity" in table and "training pictures" in evaluation
    assert "param_penalty" in searched and model.startswith("<Identifier: ")
