"""The last layer fitted alone: the optimum of its loss, and folds that are what they claim."""

import numpy as np
import torch

from fruitcnn.calibration.held_out import assign_folds, held_out_logits
from fruitcnn.calibration.linear_probe import fit_head


def clusters(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    features = rng.normal(size=(count, 10)).astype(np.float32) + 1.2 * np.eye(10, dtype=np.float32)[targets] + 5
    return features, targets


def test_the_head_is_at_the_minimum_of_its_loss() -> None:
    features, targets = clusters(200, seed=0)
    head = fit_head(features, targets, classes=3, penalty=2.0)
    scale = features.std(ddof=1)
    kernel = torch.tensor(head.kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(head.bias, dtype=torch.float64, requires_grad=True)
    logits = torch.tensor(features, dtype=torch.float64) @ kernel + bias
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="sum")
    (loss + 2.0 * (scale * kernel).square().sum()).backward()
    # Beside gradients of hundreds a step away from it.
    assert float(kernel.grad.abs().max()) < 0.5 and float(bias.grad.abs().max()) < 0.5
    assert (head.logits(features).argmax(1) == targets).mean() > 0.6


def test_a_larger_penalty_gives_smaller_weights() -> None:
    features, targets = clusters(200, seed=0)
    small, large = (np.abs(fit_head(features, targets, classes=3, penalty=p).kernel).sum() for p in (0.1, 50.0))
    assert large < 0.5 * small


def test_held_out_logits_come_from_a_head_that_has_not_met_the_picture() -> None:
    features, targets = clusters(150, seed=1)
    folds = np.arange(150) % 3
    found = held_out_logits(features, targets, folds, views=None, classes=3, penalty=1.0)
    head = fit_head(features[folds != 1], targets[folds != 1], classes=3, penalty=1.0)
    assert np.allclose(found[folds == 1], head.logits(features[folds == 1]), atol=1e-4)


def test_folds_are_stratified_and_keep_groups_together() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 150, 400)
    targets = groups % 3
    folds = assign_folds(targets, groups, folds=5, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    for label in range(3):
        counts = np.bincount(folds[targets == label], minlength=5)
        assert counts.min() > 0.7 * counts.mean()
    assert not np.array_equal(folds, assign_folds(targets, groups, folds=5, seed=1))


def test_small_classes_do_not_all_lie_in_one_fold() -> None:
    targets = np.repeat(np.arange(40), 2)
    folds = assign_folds(targets, np.arange(80), folds=5, seed=0)
    assert np.bincount(folds, minlength=5).min() >= 8
