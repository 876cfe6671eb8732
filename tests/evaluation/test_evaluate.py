"""`fruitcnn evaluate` as a process, on a model and pictures whose answers are known beforehand."""

import csv
import dataclasses
import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fruitcnn import checkpoint
from fruitcnn.dataset.records import Record
from fruitcnn.errors import DatasetError
from fruitcnn.evaluation.choice import check_labels
from fruitcnn.evaluation.evaluation import Evaluation, few_training_pictures
from fruitcnn.evaluation.leaks import NEARLY, SAME, leak_warnings, likeness, training_pictures
from fruitcnn.evaluation.measured import measure
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.evaluation.refusal import auroc, risk_coverage
from fruitcnn.evaluation.sample import Sample
from fruitcnn.evaluation.suspects import Suspect, suspicious_labels
from fruitcnn.evaluation.text import metrics_lines, summary
from fruitcnn.image import opened
from tests.conftest import Run
from tests.predictions import read_predictions
from tests.tiny import CARD, write_picture, write_tiny_model

RED, GREEN, BLUE, DARK_RED = (200, 30, 40), (30, 200, 40), (60, 30, 200), (50, 0, 0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "colours"
    folder.mkdir()
    write_tiny_model(folder / checkpoint.ONNX)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three red (one of them dark), two green, two blue, one green picture labelled blue, one broken."""
    folder = tmp_path / "data"
    colours = {
        "red": [RED, (180, 60, 60), DARK_RED],
        "green": [GREEN, (50, 220, 40)],
        "blue": [BLUE, (60, 60, 210), (31, 201, 41)],
    }
    pictures = [(label, colour) for label, several in colours.items() for colour in several]
    for number, (label, colour) in enumerate(pictures):
        write_picture(folder / label / f"{number}.png", colour)
    (folder / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "others"
    write_picture(folder / "night.png", (3, 2, 1))
    write_picture(folder / "dusk.png", (40, 0, 40))
    write_picture(folder / "snow.png", (250, 250, 250))
    return folder


def test_figures_and_files(cli: Run, model: Path, data: Path, outside: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    done = cli("evaluate", model, "--data", data, "--outside", outside, "--report", report)
    assert done.returncode == 3, done.stderr
    assert "colours on 8 labelled pictures\n1 more could not be read" in done.stdout
    assert "broken.png: " in done.stderr and "accuracy" in done.stdout and "87.50%" in done.stdout
    assert {path.name for path in report.iterdir()} == {"report.html", "predictions.csv", "metrics.json"}

    found = json.loads((report / "metrics.json").read_text())
    assert (found["images"], found["accuracy"]) == (8, 7 / 8)
    assert found["confusion"] == [[3, 0, 0], [0, 2, 0], [0, 1, 2]]
    # The dark one, at a familiarity of 50 / 3 / 255, is refused; of the seven others six are right.
    assert found["refusal"]["refused"] == 1 and found["refusal"]["accuracy_of_the_rest"] == 6 / 7
    # Night and dusk are darker than the darkest but one, snow is lighter than all: 8 x 2 pairs, less those with dusk.
    assert found["outside"]["images"] == 3 and found["outside"]["refused"] == 2 / 3
    assert found["outside"]["auroc"] == pytest.approx((8 + 7 + 0) / 24)
    ranges = {name: "{:.3f} to {:.3f}".format(*found[f"{name}_95"]) for name in ("macro_f1", "loss")}
    assert {
        "red 100.0% 43.9 to 100.0% 100.0% 43.9 to 100.0% 1.000 3",
        "green 66.7% 20.8 to 93.9% 100.0% 34.2 to 100.0% 0.800 2",
        "true, answered: red green blue",
        "blue 0 1 2",
        "accuracy 87.50% 52.9 to 97.8%",
        "balanced accuracy 88.89% 56.3 to 100.0%",
        f"macro F1 0.867 {ranges['macro_f1']}",
        f"loss (NLL) {found['loss']:.3f} {ranges['loss']}",
        "calibration error {:.3f} if perfect: {:.3f} to {:.3f}".format(
            found["calibration_error"], *found["calibration_error_if_perfect"]
        ),
        "refused as unknown 12.5% 2.2 to 47.1%",
        "accuracy of the rest 85.71% 48.7 to 97.4%",
        "outside: refused 66.7% 20.8 to 93.9%",
        "outside: refused where 95 % of members are accepted 66.7% 20.8 to 93.9%",
    } <= {" ".join(line.split()) for line in done.stdout.splitlines()}
    rows = read_predictions(report / "predictions.csv")
    assert len(rows.rows) == 12 and [row.split for row in rows.rows[-3:]] == ["outside"] * 3
    first = next(row for row in rows.rows if row.file == "red/0.png")
    logits = [math.exp(value / 32) for value in RED]
    assert first.probabilities == pytest.approx([value / sum(logits) for value in logits], rel=1e-5)
    assert first.familiarity == pytest.approx(sum(RED) / 3 / 255, rel=1e-5)
    assert [row.file for row in rows.rows if row.error] == ["red/broken.png"]
    # Again into the same folder, and never into another's.
    assert cli("evaluate", model, "--data", data, "--report", report).returncode == 3
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "predictions.csv").write_text("mine")
    for folder in (foreign, model, data / "red" / "0.png"):
        done = cli("evaluate", model, "--data", data, "--report", folder)
        assert done.returncode == 2 and done.stdout == "", done.stderr
    assert (foreign / "predictions.csv").read_text() == "mine"


def test_a_split_is_chosen_and_what_is_unknown_refused(cli: Run, model: Path, data: Path, tmp_path: Path) -> None:
    rows = ["file,label,split", "red/0.png,red,train", "red/1.png,red,val", "green/3.png,green,test"]
    (data / "list.csv").write_text("\n".join(rows))
    assert (
        "colours on 1 labelled picture of the test split" in cli("evaluate", model, "--data", data / "list.csv").stdout
    )
    done = cli("evaluate", model, "--data", data / "list.csv", "--split", "validation")
    assert "of the validation split" in done.stdout and done.returncode == 0
    done = cli("evaluate", model, "--data", data / "list.csv", "--split", "tst")
    assert done.returncode == 1 and "it has: test, train, validation" in done.stderr
    write_picture(data / "kiwi" / "1.png", GREEN)
    done = cli("evaluate", model, "--data", data)
    assert done.returncode == 1 and "does not know: kiwi" in done.stderr and "--outside" in done.stderr
    done = cli("evaluate", model, "--data", data / "list.csv", "--outside", data / "list.csv")
    assert done.returncode == 2 and "no such folder" in done.stderr


def test_what_was_trained_on_is_said(cli: Run, model: Path, data: Path) -> None:
    digest = hashlib.sha256((data / "red" / "0.png").read_bytes()).hexdigest()
    other = hashlib.sha256((data / "red" / "1.png").read_bytes()).hexdigest()
    lines = [f"a.png,{digest},red,train", f"b.png,{other},red,validation"]
    lines += [f"{n}.png,{n},green,train" for n in range(12)]
    (model / checkpoint.SPLIT).write_text("\n".join(["file,sha256,label,split", *lines]))
    done = cli("evaluate", model, "--data", data)
    assert "warning: among these pictures are 1 of the training pictures of the model: on new ones" in done.stdout
    assert "warning: fewer than 10 training pictures of: red (1), blue (0)" in done.stdout
    (model / checkpoint.SPLIT).write_text("file,label\n")
    assert "among these pictures" not in cli("evaluate", model, "--data", data).stdout


def test_near_duplicates_of_training_pictures_are_found(finished: Path, drawn: Path, tmp_path: Path) -> None:
    training = training_pictures(finished / checkpoint.SPLIT)
    assert training is not None and len(training.hashed.hashes) == len(training.sha256) == training.counts.total()
    with (finished / checkpoint.SPLIT).open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert training.counts.total() == len(rows)
    first = Image.open(drawn / rows[0]["file"])
    first.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.jpg", quality=80)
    noise = np.random.default_rng(8).integers(256, size=(8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((64, 64)).save(tmp_path / "other.png")
    paths = [drawn / rows[1]["file"], tmp_path / "mirrored.jpg", tmp_path / "other.png"]
    kinds = []
    for path in paths:
        data = path.read_bytes()
        # At whatever size a picture is decoded for its answer.
        for at_least in (0, 80, 240):
            with opened(data, at_least=at_least) as picture:
                kinds.append(likeness(data, picture, training))
    assert kinds == [SAME] * 3 + [NEARLY] * 3 + [""] * 3
    (warning,) = leak_warnings(Counter(kinds[::3]))
    assert "are 1 of the training pictures of the model and 1 of the near-duplicates of its" in warning
    assert leak_warnings(Counter(kinds[6:])) == ()


def test_only_the_light_world_is_imported(model: Path, data: Path) -> None:
    # The heavy packages are made impossible to import; jinja2 too, which only the page needs.
    heavy = ("torch", "keras", "lightning", "onnx", "matplotlib", "pydantic", "yaml", "sklearn", "scipy", "imagehash")
    script = f"""
import sys
for name in {(*heavy, "rich", "jinja2")!r}:
    sys.modules[name] = None
from fruitcnn.cli import main
sys.argv[1:] = ["evaluate", {str(model)!r}, "--data", {str(data)!r}, *sys.argv[1:]]
try:
    main()
finally:
    print("decoded" * ("PIL.PngImagePlugin" in sys.modules), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 3 and "87.50%" in done.stdout and "\ndecoded" in done.stderr, done.stderr
    report = data.parent / "without"
    done = subprocess.run([sys.executable, "-c", script, "--report", str(report)], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'fruitcnn[report]'" in done.stderr
    assert done.stdout == "" and not report.exists(), "it is told before the work, not after it"
    assert "decoded" not in done.stderr


def test_auroc_and_risk_coverage_against_brute_force() -> None:
    rng = np.random.default_rng(3)
    members, others = rng.integers(8, size=60) / 8, rng.integers(6, size=50) / 8
    pairs = [(m > o) + 0.5 * (m == o) for m in members for o in others]
    assert auroc(members, others) == pytest.approx(np.mean(pairs))
    right = rng.random(60) < 0.4 + members / 2
    coverage, risk = risk_coverage(members, right)
    for level, share, wrong in zip(sorted(set(members))[::-1], coverage, risk, strict=True):
        chosen = members >= level
        assert share == pytest.approx(chosen.mean()) and wrong == pytest.approx(1 - right[chosen].mean())
    answers = np.eye(2)[np.where(right, 0, 1)]

    def figures(threshold: float | None) -> dict[str, Any]:
        known = Sample.of(answers, np.zeros(60, np.int64), scores=members, outside=others, refuse_below=threshold)
        return measure(known, ["a", "b"]).to_dict()

    known = figures(0.5)["refusal"]
    assert known["refused"] == (members < 0.5).sum() == 60 * known["refused_share"]
    assert known["accuracy_of_the_rest"] == right[members >= 0.5].mean()
    assert figures(2.0)["refusal"]["accuracy_of_the_rest"] == 0
    compared = figures(None)["outside"]
    assert figures(None)["refusal"] is None and compared["refused"] is compared["refused_95"] is None
    assert compared["auroc_95"][0] < compared["auroc"] < compared["auroc_95"][1]
    assert compared["refused_at_95"] == (others < np.quantile(members, 0.05)).mean()


def test_confident_learning_finds_the_labels_that_were_changed() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(3, size=300)
    probabilities = np.clip(0.8 * np.eye(3)[truth] + rng.dirichlet((1, 1, 1), size=300) * 0.2, 0, 1)
    given = truth.copy()
    changed = [5, 50, 200]
    probabilities[changed] = 0.02 + 0.94 * np.eye(3)[truth[changed]]
    given[changed] = (truth[changed] + 1) % 3
    found = suspicious_labels(probabilities, given)
    assert {suspect.index for suspect in found} == set(changed)
    assert all(suspect.suggested == truth[suspect.index] for suspect in found)
    # A sure other answer comes before an unsure one, and one below its class's mean is none.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.91, 0.09], [0.99, 0.01], [0.6, 0.4], [0.2, 0.8], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 1, 1, 1, 1])
    assert suspicious_labels(probabilities, labels) == [Suspect(3, 0), Suspect(2, 0)]


def test_one_answer_for_everything_is_said_beside_the_headline() -> None:
    rows = tuple(Prediction(f"{n}.png", "", label, (0.8, 0.1, 0.1)) for n, label in enumerate(["red"] * 7 + ["blue"]))
    evaluation = Evaluation.of("m", CARD, "", Predictions(CARD.labels, rows))
    lines = summary(evaluation).splitlines()
    assert lines[1] == "warning: every answer is red: the model tells nothing apart"
    only_red = Evaluation.of("m", CARD, "", Predictions(CARD.labels, rows[:7]))
    assert only_red.warnings == ()
    assert few_training_pictures(("a", "b"), Counter(a=10, b=10)) == ()
    assert "b (9)" in few_training_pictures(("a", "b"), Counter(a=10, b=9))[0]


def test_a_matrix_that_no_terminal_holds_has_numbers_above_its_columns() -> None:
    labels = ["blue_square", "green_triangle", "purple_cross", "red_circle", "yellow_star"]
    answers = np.eye(5)[[0, 1, 2, 3, 4, 1]]
    lines = list(metrics_lines(measure(Sample.of(answers, np.array([0, 1, 2, 3, 4, 4])), labels)))
    matrix = lines[lines.index("") + 1 :][:6]
    assert matrix[0].split() == ["true,", "answered:", *"12345"]
    assert matrix[5].split() == ["5", "yellow_star", "0", "1", "0", "0", "1"]
    assert {len(line) for line in matrix} == {32} and max(map(len, lines)) < 80


def test_many_classes_are_listed_by_their_confusions() -> None:
    labels = tuple(f"class {n}\x1b[1m" for n in range(13))
    card = dataclasses.replace(CARD, labels=labels)
    probabilities = np.eye(13) * 0.9 + 0.1 / 13
    rows = [Prediction(f"{n}", "", labels[n], tuple(probabilities[n])) for n in range(13)]
    rows += [Prediction(f"x{n}", "", labels[7], tuple(probabilities[3])) for n in range(2)]
    text = summary(Evaluation.of("m", card, "", Predictions(labels, tuple(rows))))
    assert "most confused (1 pair):\n     2  class 7" in text and "\x1b" not in text


def test_a_few_pictures_without_a_mistake_are_no_certainty_and_a_class_without_any_has_no_figures() -> None:
    found = measure(Sample.of(np.eye(3)[[0, 0, 0, 1, 1]], np.array([0, 0, 0, 1, 1])), ["a", "b", "none"])
    # Of three pictures without a mistake a share of 0.44 is possible, of two one of 0.34 (Wilson).
    for key in ("balanced_accuracy", "macro_f1"):
        low, high = found.figures[key].interval
        assert found[key] == high == 1 and 0.4 < low < 0.7, key
    assert found.classes["a"].f1_95 == pytest.approx((2 * 0.4385 / 1.4385, 1.0), abs=1e-4)
    table = list(metrics_lines(found))[:4]
    assert table[3].split() == ["none", "-", "-", "-", "0"] and {len(line) for line in table} == {66}


def test_a_label_that_the_model_does_not_know_is_named_with_those_that_it_knows() -> None:
    records = [Record("1.png", Path("1.png"), "kiwi")]
    for labels, known in (("abcde", "a, b, c, d, e"), ("abcdef", "a, b, c, d, e, ...")):
        with pytest.raises(DatasetError, match=f"does not know: kiwi; it knows {known}; give other"):
            check_labels(Path("set"), records, tuple(labels))
