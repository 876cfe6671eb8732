"""Figures against independent references: torchmetrics, published values, brute force."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference

from fruitcnn.calibration.intervals import wilson_interval
from fruitcnn.evaluation.measured import Metrics, measure
from fruitcnn.evaluation.metrics import calibration_error, calibration_error_if_perfect
from fruitcnn.evaluation.predictions import Prediction, Predictions, write_predictions
from fruitcnn.evaluation.sample import Sample
from fruitcnn.evaluation.text import metrics_lines
from tests.predictions import read_predictions


def measured(probabilities: np.ndarray, targets: np.ndarray, labels: list[str]) -> Metrics:
    return measure(Sample.of(probabilities, targets), labels)


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (500,), generator=generator)
    logits = torch.randn(500, 4, generator=generator) + 1.5 * torch.nn.functional.one_hot(targets, 4)
    return logits, targets


def test_metrics_against_torchmetrics(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = answers
    probabilities = logits.softmax(1)
    found = measured(probabilities.numpy(), targets.numpy(), ["a", "b", "c", "d"])

    assert found["accuracy"] == pytest.approx(float((logits.argmax(1) == targets).float().mean()))
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, targets)), rel=1e-5)
    assert found.confusion == reference.multiclass_confusion_matrix(probabilities, targets, 4).tolist()
    expected = float(reference.multiclass_calibration_error(probabilities, targets, 4, n_bins=15))
    assert found["calibration_error"] == pytest.approx(expected, abs=1e-6)
    for name, function in (
        ("precision", reference.multiclass_precision),
        ("recall", reference.multiclass_recall),
        ("f1", reference.multiclass_f1_score),
    ):
        expected = function(probabilities, targets, 4, average=None).tolist()
        assert [getattr(one, name) for one in found.classes.values()] == pytest.approx(expected, abs=1e-6)
    macro = float(reference.multiclass_f1_score(probabilities, targets, 4, average="macro"))
    balanced = float(reference.multiclass_accuracy(probabilities, targets, 4, average="macro"))
    assert (found["macro_f1"], found["balanced_accuracy"]) == pytest.approx((macro, balanced), abs=1e-6)
    assert "support" in next(metrics_lines(found))


def test_intervals_hold_what_they_promise() -> None:
    # 80 sets of 150 pictures from one source: the true value lies within about 95 % of the intervals.
    rng = np.random.default_rng(1)
    held = np.zeros(4)
    targets = rng.integers(3, size=12_000)
    probabilities = rng.dirichlet((1, 1, 1), size=12_000) * 0.6 + 0.4 * np.eye(3)[targets]
    truth = measured(probabilities, targets, ["a", "b", "c"])
    for start in range(0, 80 * 150, 150):
        chosen = slice(start, start + 150)
        found = measured(probabilities[chosen], targets[chosen], ["a", "b", "c"])
        for index, name in enumerate(("accuracy", "macro_f1", "balanced_accuracy", "loss")):
            low, high = found.figures[name].interval
            held[index] += low <= truth[name] <= high
    assert (held >= 80 * 0.9).all() and held.max() < 80


def test_a_perfectly_calibrated_model_lies_in_the_range_given_for_one() -> None:
    # With 290 pictures, 97 % of them right, it shows about 0.02: zero is out of reach for any finite set.
    rng = np.random.default_rng(2)
    confidence = np.clip(rng.beta(12, 0.4, size=290), 0.34, 1)
    probabilities = np.stack([confidence, (1 - confidence) / 2, (1 - confidence) / 2], axis=1)
    certain = np.zeros(290, np.int64)
    low, high = calibration_error_if_perfect(Sample.of(probabilities, certain), 0)
    shown = [
        calibration_error(Sample.of(probabilities, np.where(rng.random(290) < confidence, 0, 1))) for _ in range(300)
    ]  # fmt: skip
    assert 0.003 < low < high < 0.05
    assert np.mean([low <= error <= high for error in shown]) == pytest.approx(0.95, abs=0.04)
    assert calibration_error_if_perfect(Sample.of(np.eye(3), np.arange(3)), 0) == (0, 0)


def test_predictions_come_back_as_they_were(tmp_path: Path) -> None:
    third = 0.333333343
    rows = (
        Prediction('a,"b".jpg', "test", "grape", (third, 0.666666687), 0.25),
        Prediction("na\udcefve.jpg", "", "葡萄", (0.5000001, 0.4999999), warning="its end is missing"),
        Prediction("broken.jpg", "test", "grape", error="empty file; download it again"),
    )
    written = Predictions(("葡萄", "grape"), rows)
    write_predictions(written, tmp_path / "predictions.csv")
    assert read_predictions(tmp_path / "predictions.csv") == written
    header, first, second, third_row = (tmp_path / "predictions.csv").read_bytes().decode(errors="replace").splitlines()
    assert header == "file,split,label,answer,familiarity,probability_葡萄,probability_grape,error,warning"
    assert (
        first.split(",")[4:6] == ["grape", "0.25"]
        and second.split(",")[3] == "葡萄"
        and second.endswith(",its end is missing")
    )
    assert third_row == "broken.jpg,test,grape,,,,,empty file; download it again,"
    probabilities, targets = written.readable().arrays()
    assert probabilities.shape == (2, 2) and targets.tolist() == [1, 0]
    assert len(written.readable("test").rows) == 1


def test_a_class_that_is_never_right_divides_by_nothing() -> None:
    found = measured(np.array([[0.9, 0.1, 0.0]] * 3), np.array([0, 0, 1]), ["a", "b", "c"])
    one = found.classes["b"]
    assert (one.precision, one.recall, one.f1, one.support) == (0, 0, 0, 1)
    assert one.precision_95 == (0, 1) and one.recall_95 == wilson_interval(0, 1)
    # The means are over the classes that occur.
    assert found.classes["c"].support == 0 and found["balanced_accuracy"] == 0.5 and found["macro_f1"] == 0.4
