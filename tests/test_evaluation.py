"""Figures against independent references: torchmetrics, published values, brute force."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.classification as reference
from PIL import Image

from fruitcnn.evaluation.calibration import fit_temperature
from fruitcnn.evaluation.metrics import calibration_error, classification_report, evaluate, wilson_interval
from fruitcnn.evaluation.plots import plot_confusion, plot_curves


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (500,), generator=generator)
    logits = torch.randn(500, 4, generator=generator) + 1.5 * torch.nn.functional.one_hot(targets, 4)
    return logits, targets


def test_wilson_interval_against_published_values() -> None:
    # Newcombe 1998, table I, method 3.
    for right, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(29, 29)[1] == 1.0


def test_metrics_against_torchmetrics(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = answers
    probabilities = logits.softmax(1)
    found = evaluate(probabilities.numpy(), targets.numpy(), ["a", "b", "c", "d"])

    assert found["accuracy"] == pytest.approx(float((logits.argmax(1) == targets).float().mean()))
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, targets)), rel=1e-5)
    assert found["confusion"] == reference.multiclass_confusion_matrix(probabilities, targets, 4).tolist()
    expected = float(reference.multiclass_calibration_error(probabilities, targets, 4, n_bins=15))
    assert found["calibration_error"] == pytest.approx(expected, abs=1e-6)
    for name, function in (
        ("precision", reference.multiclass_precision),
        ("recall", reference.multiclass_recall),
        ("f1", reference.multiclass_f1_score),
    ):
        expected = function(probabilities, targets, 4, average=None).tolist()
        assert [of[name] for of in found["classes"].values()] == pytest.approx(expected, abs=1e-6)
    assert "support" in classification_report(found)


def test_a_class_that_is_never_right_divides_by_nothing() -> None:
    found = evaluate(np.array([[0.9, 0.1, 0.0]] * 3), np.array([0, 0, 1]), ["a", "b", "c"])
    assert found["classes"]["b"] == {
        "precision": 0.0, "recall": 0.0, "recall_95": list(wilson_interval(0, 1)), "f1": 0.0, "support": 1
    }  # fmt: skip
    assert found["classes"]["c"]["support"] == 0


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_temperature_is_the_one_that_brute_force_finds(
    true_temperature: float, answers: tuple[torch.Tensor, torch.Tensor]
) -> None:
    logits, targets = answers[0] * true_temperature, answers[1]
    grid = torch.linspace(0.1, 6, 5901)
    losses = torch.stack([torch.nn.functional.cross_entropy(logits / t, targets) for t in grid])
    assert fit_temperature(logits, targets) == pytest.approx(float(grid[losses.argmin()]), abs=2e-3)


def test_temperature_calibrates_and_stays_finite(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = answers[0] * 5, answers[1]
    before = calibration_error(logits.softmax(1).numpy(), targets.numpy())
    scaled = logits / fit_temperature(logits, targets)
    assert calibration_error(scaled.softmax(1).numpy(), targets.numpy()) < before / 3
    perfect = torch.eye(3).repeat(4, 1) * 10
    assert 0.05 <= fit_temperature(perfect, torch.arange(3).repeat(4)) <= 20


def test_plots_are_pictures(tmp_path: Path) -> None:
    rows = [
        {"epoch": e, **dict.fromkeys(("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"), 1 / e)}
        for e in (1, 2, 3)
    ]
    plot_curves(rows, tmp_path / "curves.png", best_epoch=2)
    plot_confusion([[3, 0], [1, 2]], ["grape", "b"], tmp_path / "confusion.png", title="x")
    for name in ("curves.png", "confusion.png"):
        pixels = np.asarray(Image.open(tmp_path / name))
        assert min(pixels.shape[:2]) > 200 and pixels.std() > 10
