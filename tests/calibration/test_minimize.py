"""The minimiser against another one (torch's L-BFGS) and against optima that are known."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fruitcnn.calibration.linear_probe import fit_head
from fruitcnn.calibration.minimize import minimize


def test_the_minimum_of_an_ill_conditioned_quadratic_is_the_solution_of_its_equations() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    matrix, wanted = axes * np.logspace(-2, 2, 40) @ axes.T, rng.normal(size=(40, 1))

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        return (0.5 * x.T @ matrix @ x - wanted.T @ x).item(), matrix @ x - wanted

    found = minimize(loss, np.zeros((40, 1)), steps=5000)
    assert found.shape == (40, 1)
    assert np.abs(matrix @ found - wanted).max() < 1e-5


@pytest.mark.parametrize("far", [1e-6, 1.0, 1e6])
def test_a_valley_is_followed_to_its_lowest_point_whatever_its_scale(far: float) -> None:
    # Rosenbrock 1960: curved, with its minimum at (1, 1).
    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        a, b = x / far
        slope = np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])
        return float((1 - a) ** 2 + 100 * (b - a * a) ** 2), slope / far

    assert minimize(loss, far * np.array([-1.2, 1.0])) / far == pytest.approx([1, 1], abs=1e-3)


def test_a_loss_that_falls_for_ever_or_overflows_ends_the_search() -> None:
    def exponential(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.exp(-x[0])), -np.exp(-x)

    assert minimize(exponential, np.zeros(1))[0] > 15

    def steep(x: np.ndarray) -> tuple[float, np.ndarray]:
        # No number where it overflows.
        large = np.exp(1000 * x[0])
        return float(large + 0 * large - 1000 * x[0]), 1000 * np.exp(1000 * x) - 1000

    assert abs(minimize(steep, np.array([-0.25]))[0]) < 1e-9


def test_a_start_at_the_optimum_stays_there() -> None:
    assert minimize(lambda x: (float(x @ x), 2 * x), np.zeros(3)).tolist() == [0, 0, 0]


def test_a_linear_probe_is_the_one_that_another_minimiser_finds() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    features = np.abs(rng.normal(size=(300, 60)) + 0.5 * np.eye(60)[targets]).astype(np.float32)
    head = fit_head(features, targets, classes=3, penalty=5.0)
    rows, wanted = torch.from_numpy(features).double(), torch.from_numpy(targets)
    scaled = (rows - rows.mean(0)) / rows.std()
    weights = torch.zeros(61, 3, dtype=torch.float64, requires_grad=True)
    other = torch.optim.LBFGS(
        [weights], max_iter=1000, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        other.zero_grad()
        loss = torch.nn.functional.cross_entropy(scaled @ weights[:-1] + weights[-1], wanted)
        loss = loss + 5.0 * weights[:-1].square().sum() / 300
        loss.backward()
        return loss

    other.step(closure)
    logits = (scaled @ weights[:-1] + weights[-1]).detach().numpy()
    assert np.abs(head.logits(features) - logits).max() < 1e-5


def test_a_head_is_fitted_and_calibrated_without_torch() -> None:
    program = """
import sys
import numpy as np
from fruitcnn.calibration import fold_heads, held_out, intervals
rng = np.random.default_rng(0)
targets = np.arange(90) % 3
features = (rng.normal(size=(90, 8)) + 2 * np.eye(8)[targets]).astype(np.float32)
folds = held_out.assign_folds(targets, np.arange(90), folds=3, seed=0)
logits = fold_heads.fit_fold_heads(features, targets, folds, views=None, classes=3, penalty=None).logits
rows = held_out.Features(features, rng.normal(size=(30, 8)).astype(np.float32))
known = held_out.Known(targets, np.arange(90))
fitted = held_out.calibrate_out_of_fold(rows, known, held_out.OutOfFold(folds, logits, [rows] * 3), seed=0)
assert fitted.familiarity and fitted.familiarity.gate.any() and 0 < fitted.temperature < 20
heavy = {"torch", "keras", "scipy", "PIL", "yaml", "pydantic", "fruitcnn.config", "fruitcnn.dataset"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)
