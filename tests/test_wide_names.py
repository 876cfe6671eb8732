"""Tables and errors of names in characters that take two columns of a terminal, and with accents that take none."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from fruitcnn import cells, load_config
from fruitcnn.dataset.records import SPLITS, TEST, TRAIN, Dataset, Record
from fruitcnn.evaluation.enough import Enough, describe
from fruitcnn.evaluation.measured import measure
from fruitcnn.evaluation.sample import Sample
from fruitcnn.evaluation.text import metrics_lines
from fruitcnn.identify.catalogue import list_models
from fruitcnn.runs.summary import describe_beginning
from fruitcnn.terminal import wrapped
from tests.calibration.test_learning_curve import drawn_curve
from tests.terminals import terminal
from tests.test_models import make_run

LABELS = ["草莓和蓝莓", "grape", "cre\u0300me bru\u0302le\u0301e \U0001f353"]


def ends(lines: list[str]) -> set[int]:
    """The columns in which the lines end."""
    return {cells.width(line) for line in lines}


def test_the_classes_of_a_set() -> None:
    records = [Record(f"{label}{split}", Path(), label, split=split) for label in LABELS for split in (TRAIN, TEST)]
    dataset = Dataset(records, LABELS, [], rows=lambda chosen, size: pytest.fail("no pixels are asked for"))
    lines = list(describe_beginning(load_config("quick", data=Path("set")), dataset))
    assert len(ends(lines[2:-2])) == 1 and len(lines[2:-2]) == 5, "\n".join(lines)


def test_the_classes_of_an_evaluation() -> None:
    lines = list(metrics_lines(measure(Sample.of(np.eye(3), np.arange(3)), LABELS)))
    classes, matrix = lines[:4], lines[5:9]
    assert len(ends(classes)) == 1 and len(ends(matrix)) == 1, "\n".join(lines)
    # Labels that need so many columns are numbers above the matrix.
    wide = [label * 5 for label in LABELS]
    lines = list(metrics_lines(measure(Sample.of(np.eye(3), np.arange(3)), wide)))
    assert lines[5].split() == ["true,", "answered:", "1", "2", "3"] and len(ends(lines[5:9])) == 1, "\n".join(lines)


def test_labels_that_are_longer_than_a_line() -> None:
    """The name of a class that a folder may have, 200 characters, once of two columns each."""
    for long in ("a" * 100 + "b" * 100, "\u6a59" * 100):
        labels = [long, "pear", "plum"]
        lines = list(metrics_lines(measure(Sample.of(np.eye(3), np.array([1, 1, 2])), labels)))
        many = [long, *map(str, range(12))]
        lines += metrics_lines(measure(Sample.of(np.eye(13)[[0, 1]], np.array([0, 0])), many))
        records = [Record(f"{label}{split}", Path(), label, split=split) for label in labels for split in SPLITS]
        dataset = Dataset(records, labels, [], rows=lambda chosen, size: pytest.fail("no pixels are asked for"))
        lines += describe_beginning(load_config("quick", data=Path("set")), dataset)
        assert max(map(cells.width, lines)) <= 80, "\n".join(lines)
        assert sum("..." in line for line in lines) >= 4


def test_the_classes_that_more_pictures_would_help() -> None:
    *_, first, second, _ = describe(Enough.of(["grape", LABELS[0]], drawn_curve(-0.5, seed=4)))
    assert cells.width(first[: first.index("%")]) == cells.width(second[: second.index("%")])


def test_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path, LABELS[0])
    make_run(tmp_path, "mine", age=9)
    header, *rows = list_models().splitlines()[:5]
    starts = {cells.width(re.split("checkpoints|comes", row)[0]) for row in rows}
    assert starts == {header.index("where")}, "\n".join(rows)


def test_an_error_is_broken_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    error = f"fruitcnn: {'草莓' * 15}.png: no such file; check it"
    assert len(error) < 80 < cells.width(error)
    with terminal(monkeypatch):
        lines = wrapped(error, sys.stderr).split("\n")
    assert len(lines) == 2 and all(cells.width(line) < 80 for line in lines) and lines[1].startswith("  ")
