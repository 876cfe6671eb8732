"""The temperature is what brute force finds, and leaves no certainty that the pictures do not give."""

import numpy as np
import pytest
import torch

from fruitcnn.calibration.temperature import fit_temperature
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
