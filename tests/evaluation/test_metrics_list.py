"""A metric that is added to the list stands in all that is printed and written, and nowhere else has to be changed."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import fruitcnn
from fruitcnn import checkpoint, load_config
from fruitcnn.evaluation.metrics import BOOTSTRAP, METRICS, OF_ALL, Metric
from fruitcnn.evaluation.sample import Sample
from fruitcnn.evaluation.text import summary
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from tests.conftest import TINY
from tests.tiny import write_picture, write_tiny_model


def _brier(sample: Sample) -> float:
    """Brier 1950: the mean squared distance of the probabilities from the truth."""
    return float(((sample.probabilities - np.eye(sample.classes)[sample.targets]) ** 2).sum(1).mean())


@pytest.fixture
def brier() -> Iterator[Metric]:
    metric = Metric("brier", "Brier score", _brier, BOOTSTRAP, "lower", (0.0, 2.0))
    METRICS.append(metric)
    try:
        yield metric
    finally:
        METRICS.remove(metric)


def test_a_new_metric_is_in_terminal_json_and_report(brier: Metric, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.onnx")
    for number, (label, colour) in enumerate([("red", (200, 30, 40)), ("green", (40, 180, 60)), ("blue", (9, 9, 250))]):
        for shade in range(3):
            write_picture(tmp_path / "data" / label / f"{number}{shade}.png", (colour[0] - shade, *colour[1:]))
    found = fruitcnn.evaluate(tmp_path / "model.onnx", tmp_path / "data", report=tmp_path / "report")
    probabilities, targets = found.predictions.arrays()
    expected = float(((probabilities - np.eye(3)[targets]) ** 2).sum(1).mean())
    low, high = found.metrics.figures["brier"].interval
    assert found["brier"] == pytest.approx(expected) and low <= expected <= high and low < high
    written = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert written["brier"] == found["brier"] and written["brier_95"] == [low, high]
    cells = f"{expected:.3f}", f"{low:.3f} to {high:.3f}"
    assert f"Brier score {' '.join(cells)}" in {" ".join(line.split()) for line in summary(found).splitlines()}
    assert f"<td>{'</td><td>'.join(cells)}</td>" in (tmp_path / "report" / "report.html").read_text()
    assert f"brier: {cells[0]} ({cells[1]})" in repr(found)


def test_a_new_metric_is_in_what_a_training_prints_and_writes(brier: Metric, drawn: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    run = train_config(
        load_config("quick", TINY, data=drawn), Claim(root=tmp_path), device="cpu", print_line=lines.append
    )
    written = json.loads((run / checkpoint.METRICS).read_text())
    shown = f"Brier score {written['validation']['brier']:.3f}"
    assert any(" ".join(line.split()).startswith(shown) for line in lines)
    assert written["train"]["brier_95"][0] < written["train"]["brier"]
    assert "Brier score" in (run / checkpoint.REPORT).read_text()
    # What the card says of a model is the same list's accuracy.
    assert written["validation"]["refusal"]["threshold"] == 0.05


def test_each_metric_says_what_it_is() -> None:
    assert len({metric.key for metric in METRICS}) == len({metric.name for metric in METRICS}) == len(METRICS)
    sample = Sample.of(np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), np.array([0, 1, 0]))
    for metric in METRICS:
        least, most = metric.bounds
        value = metric.compute(sample)
        assert least < most and (value is None or least <= value <= most), metric.key
    # Better answers move each figure to its better side.
    better = Sample.of(np.array([[0.98, 0.02], [0.01, 0.99], [0.99, 0.01]]), np.array([0, 1, 0]))
    for metric in METRICS:
        before, after = metric.compute(sample), metric.compute(better)
        if before is not None and after is not None:
            assert after > before if metric.better == "higher" else after < before, metric.key


def test_a_proportion_has_the_interval_of_so_many_pictures() -> None:
    sample = Sample.of(np.eye(2)[[0, 0, 1, 0]], np.array([0, 0, 1, 1]))
    assert OF_ALL.interval is not None
    assert OF_ALL.interval(sample, 0.75) == pytest.approx((0.3006, 0.9544), abs=1e-3)
