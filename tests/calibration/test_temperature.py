"""The temperature is what brute force finds, and leaves no certainty that the pictures do not give."""

import numpy as np
import pytest
import torch

from fruitcnn.calibration.temperature import fit_safe_temperature, fit_temperature
from fruitcnn.evaluation.metrics import calibration_error
from fruitcnn.evaluation.sample import Sample


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (500,), generator=generator)
    logits = torch.randn(500, 4, generator=generator) + 1.5 * torch.nn.functional.one_hot(targets, 4)
    return logits, targets


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_temperature_is_the_one_that_brute_force_finds(
    true_temperature: float, answers: tuple[torch.Tensor, torch.Tensor]
) -> None:
    logits, targets = answers[0] * true_temperature, answers[1]
    grid = torch.linspace(0.1, 6, 5901)
    # A label counts (N + 1) / (N + 2), the other classes share the rest.
    right = (len(logits) + 1) / (len(logits) + 2)
    shares = torch.full(logits.shape, (1 - right) / (logits.shape[1] - 1)).scatter(1, targets[:, None], right)
    losses = torch.stack([-(shares * (logits / t).log_softmax(1)).sum(1).mean() for t in grid])
    assert fit_temperature(logits.numpy(), targets.numpy()) == pytest.approx(float(grid[losses.argmin()]), abs=2e-3)


def test_temperature_calibrates_and_stays_finite(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, targets = answers[0] * 5, answers[1]
    before = calibration_error(Sample.of(logits.softmax(1).numpy(), targets.numpy()))
    scaled = logits / fit_temperature(logits.numpy(), targets.numpy())
    assert calibration_error(Sample.of(scaled.softmax(1).numpy(), targets.numpy())) < before / 3
    # Twelve pictures without a mistake are no certainty: 13 of 14.
    perfect = torch.eye(3).repeat(4, 1) * 10
    scaled = perfect / fit_temperature(perfect.numpy(), np.tile(np.arange(3), 4))
    assert scaled.softmax(1).max(1).values.numpy() == pytest.approx(13 / 14, abs=1e-3)


def test_answers_that_are_all_wrong_are_softened_to_the_end_of_the_range() -> None:
    targets = np.tile(np.arange(3), 10)
    assert fit_temperature(5 * np.eye(3)[(targets + 1) % 3], targets) == pytest.approx(20)
    assert fit_temperature(1e-3 * np.eye(3)[targets], targets) == pytest.approx(0.05)


def test_the_safe_temperature_is_the_upper_end_of_the_bootstrap(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Against resampling and fitting by hand."""
    logits, targets = answers[0].numpy() * 2, answers[1].numpy()
    rng = np.random.default_rng(1)
    again = (rng.integers(len(targets), size=len(targets)) for _ in range(200))
    end = np.quantile([fit_temperature(logits[chosen], targets[chosen]) for chosen in again], 0.975)
    # So many that its cost is no matter.
    alone = np.arange(len(targets))
    many = [np.tile(part, (8, 1) if part.ndim == 2 else 8) for part in (logits, targets, alone)]
    found = fit_safe_temperature(*many, at_least=0.05)
    assert fit_temperature(logits, targets) < found == pytest.approx(end, rel=0.04)


def test_the_safe_temperature_costs_little_where_the_evidence_is_thin() -> None:
    rng = np.random.default_rng(0)
    targets = np.tile(np.arange(3), 10)
    logits = 2 * np.eye(3)[targets] + rng.normal(0, 2, (30, 3))

    def loss(temperature: float) -> float:
        logs = logits / temperature - np.log(np.exp(logits / temperature).sum(1, keepdims=True))
        shares = np.full(logs.shape, 1 / 64) + np.eye(3)[targets] * (1 - 3 / 64)
        return float(-(shares * logs).sum(1).mean())

    fitted, safe = fit_temperature(logits, targets), fit_safe_temperature(logits, targets, np.arange(30), at_least=0.05)
    assert safe > 1.01 * fitted and loss(safe) - loss(fitted) < 0.0012
    assert fit_safe_temperature(logits / 50, targets, np.arange(30), at_least=1.0) == 1.0


def test_near_duplicates_are_drawn_together(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Five hundred pictures, each ten times, are no five thousand."""
    logits, targets = np.tile(answers[0].numpy(), (10, 1)), np.tile(answers[1].numpy(), 10)
    together, apart = np.tile(np.arange(500), 10), np.arange(5000)
    fitted = fit_temperature(logits, targets)
    wide, narrow = (fit_safe_temperature(logits, targets, groups, at_least=0.05) for groups in (together, apart))
    assert wide - fitted > 1.5 * (narrow - fitted) > 0
