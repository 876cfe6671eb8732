"""Familiarity is an honest p-value: uniform for new members, small for what is none."""

import numpy as np
import pytest
import torch

from fruitcnn.calibration.familiarity import (
    Familiarity,
    fit_familiarity,
    fit_gate,
    held_out_scores,
    likeness_to,
    prototypes,
)
from fruitcnn.calibration.held_out import Features, Known, OutOfFold, calibrate_out_of_fold
from fruitcnn.calibration.softmax import log_sum_exp

CLASSES, WIDTH = 3, 24


def members(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [N, D] of three classes, each in two clusters, and their class indices."""
    rng = np.random.default_rng(seed)
    centres = np.abs(np.random.default_rng(99).normal(size=(CLASSES * 2, WIDTH)))
    cluster = rng.integers(0, CLASSES * 2, count)
    features = np.abs(centres[cluster] + 0.35 * rng.normal(size=(count, WIDTH)))
    return features.astype(np.float32), (cluster // 2).astype(np.int64)


def strangers(count: int, seed: int) -> np.ndarray:
    """Members' features with one of them raised: close to the prototypes, and easy to tell for who has met some."""
    features, _ = members(count, seed)
    features[:, 0] += 1.0
    return features


def logits_of(features: np.ndarray) -> np.ndarray:
    return features @ np.random.default_rng(5).normal(size=(WIDTH, CLASSES)).astype(np.float32)


def fitted(*, outside: np.ndarray | None = None, count: int = 900) -> Familiarity:
    features, targets = members(count, seed=0)
    folds = np.random.default_rng(1).integers(0, 10, count)
    held_out = held_out_scores([features] * 10, targets, folds, outside=None if outside is None else [outside] * 10)
    return fit_familiarity(features, targets, held_out, logits_of(features), outside=outside)


@pytest.mark.parametrize("gated", [False, True])
def test_p_values_of_new_members_are_uniform(gated: bool) -> None:
    """Split-conformal: of pictures like the known ones a share of x has a familiarity below x."""
    fit = fitted(outside=strangers(120, seed=3) if gated else None)
    features, _ = members(4000, seed=7)
    p = np.sort(fit.p_value(fit.score(features, logits_of(features))))
    gap = np.abs(p - np.arange(1, 4001) / 4000).max()  # Kolmogorov-Smirnov
    assert gap < 1.63 * np.sqrt(1 / 900 + 1 / 4000), "the 1 % bound for two samples of these sizes"
    assert 0.03 < (p < 0.05).mean() < 0.07


def test_scores_of_the_pictures_that_the_bank_was_made_from_would_be_dishonest() -> None:
    """Why folds: without them the familiar ones are too familiar, and new members are refused too often."""
    features, targets = members(300, seed=0)
    folds = np.random.default_rng(1).integers(0, 5, 300)
    honest = held_out_scores([features] * 5, targets, folds).likeness
    flattering = likeness_to(prototypes(features, targets, seed=0), features)
    assert honest.mean() < flattering.mean() - 0.001


def test_strangers_are_less_familiar_and_a_gate_that_has_met_some_helps() -> None:
    new = strangers(500, seed=8)
    refused = []
    for fit in (fitted(), fitted(outside=strangers(120, seed=3))):
        refused.append((fit.p_value(fit.score(new, logits_of(new))) < 0.05).mean())
    assert refused[0] > 0.1 and refused[1] > refused[0] + 0.1
    assert np.count_nonzero(fitted().gate) == 0


def test_the_gate_is_scored_by_gates_that_have_not_met_the_picture() -> None:
    features, targets = members(200, seed=0)
    outside, folds = strangers(60, seed=3), np.arange(200) % 4
    found = held_out_scores([features] * 4, targets, folds, outside=[outside] * 4).gate
    weights, bias = fit_gate(features[folds != 2], outside)
    assert np.allclose(found[folds == 2], features[folds == 2] @ weights + bias, atol=1e-5)


def test_prototypes_are_unit_vectors_of_every_class_and_few() -> None:
    features, targets = members(900, seed=0)
    bank = prototypes(features, targets, seed=0)
    assert np.allclose(np.linalg.norm(bank, axis=1), 1, atol=1e-5)
    sizes = np.bincount(targets)
    assert len(bank) == sum(min(42, size // 8) for size in sizes)
    assert len(prototypes(features[:5], np.array([0, 1, 2, 0, 1]), seed=0)) == 3


def test_likeness_is_the_log_sum_exp_of_thirty_times_the_cosines() -> None:
    bank = np.eye(WIDTH, dtype=np.float32)[:2]
    row = np.zeros((1, WIDTH), np.float32)
    row[0, :2] = 3.0, 4.0
    expected = np.log(np.exp(30 * 0.6) + np.exp(30 * 0.8)) / 30
    assert float(likeness_to(bank, row)[0]) == pytest.approx(expected, abs=1e-6)
    assert float(log_sum_exp(np.array([[1000.0, 1000.0]], np.float32))[0]) == pytest.approx(1000.6931, abs=1e-3)


def test_a_network_without_features_is_calibrated_and_has_no_familiarity() -> None:
    targets, folds, nothing = np.arange(30) % 3, np.arange(30) % 2, np.empty((30, 0), np.float32)
    logits = (3 * np.eye(3)[targets] + np.random.default_rng(0).normal(0, 2, (30, 3))).astype(np.float32)
    features = Features(nothing)
    known = Known(targets, np.arange(30))
    found = calibrate_out_of_fold(features, known, OutOfFold(folds, logits, [features] * 2), seed=0)
    assert found.familiarity is None and found.held_out is not None and found.temperature != 1
    assert np.allclose(found.held_out * found.temperature, logits, rtol=1e-5)


def test_the_gate_is_at_the_minimum_of_its_loss() -> None:
    features, others = members(150, seed=0)[0], strangers(40, seed=3)
    weights, bias = fit_gate(features, others)
    scale = features.std(ddof=1)
    gate = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    offset = torch.tensor(bias, dtype=torch.float64, requires_grad=True)
    softplus = torch.nn.functional.softplus
    loss = softplus(-torch.tensor(features) @ gate.float() - offset).double().mean()
    loss = loss + softplus(torch.tensor(others) @ gate.float() + offset).double().mean()
    (loss + 5 * (gate * scale).square().sum() / 150).backward()
    # Beside a slope of 0.6 where it starts.
    assert float(gate.grad.abs().max()) < 1e-4 and abs(float(offset.grad)) < 1e-4
