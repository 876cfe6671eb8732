"""The last layer fitted alone: the optimum of its loss, and folds that are what they claim."""

import numpy as np
import torch

from fruitcnn.calibration.fold_heads import PENALTIES, fit_fold_heads, fold_count
from fruitcnn.calibration.held_out import assign_folds
from fruitcnn.calibration.linear_probe import Part, fit_head, fit_heads


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


def test_layers_that_are_fitted_together_are_those_that_are_fitted_alone() -> None:
    """Each to its own pictures, which have a spread of their own, and with its own penalty."""
    features, targets = clusters(200, seed=3)
    features[100:] *= 3
    parts = [Part(np.arange(200) < 100, 0.5), Part(np.arange(200) >= 60, 5.0), Part(np.arange(200) % 3 > 0, 5.0)]
    for part, head in zip(parts, fit_heads(features, targets, parts, classes=3), strict=True):
        alone = fit_head(features[part.chosen], targets[part.chosen], classes=3, penalty=part.penalty)
        assert np.allclose(head.logits(features), alone.logits(features), atol=2e-3), part.penalty
    # Of many classes one layer at a time.
    assert len({head.bias.tobytes() for head in fit_heads(features, targets, parts, classes=500)}) == 3


def test_held_out_logits_come_from_a_head_that_has_not_met_the_picture() -> None:
    features, targets = clusters(150, seed=1)
    folds = np.arange(150) % 3
    found = fit_fold_heads(features, targets, folds, views=None, classes=3, penalty=1.0).logits
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


def test_a_head_of_fewer_pictures_than_features_is_at_the_same_minimum() -> None:
    """It is looked for in the space that the pictures span; numbers beside them change nothing."""
    features, targets = clusters(40, seed=2)
    wide = np.concatenate([features, np.zeros((40, 60), np.float32)], axis=1)
    found = fit_head(wide, targets, classes=3, penalty=1.0)
    scale = features.std(ddof=1) / wide.std(ddof=1)
    assert np.abs(found.kernel[features.shape[1] :]).max() < 1e-6
    again = fit_head(features, targets, classes=3, penalty=float(scale**-2))
    assert np.allclose(found.logits(wide), again.logits(features), atol=1e-3)


def test_few_pictures_a_class_are_answered_by_one_head_and_many_by_the_mean_of_all() -> None:
    for count, members in ((90, 1), (330, 3)):
        features, targets = clusters(count, seed=1)
        assert np.bincount(targets).min() * 3.3 > count
        found = fit_fold_heads(features, targets, np.arange(count) % 3, views=None, classes=3, penalty=5.0)
        assert len(found.heads.members) == members
        whole = fit_head(features, targets, classes=3, penalty=5.0)
        assert np.allclose(found.heads.mean.logits(features), whole.logits(features), atol=2.0)
    softmax = [np.exp(head.logits(features) / 1.5) for head in found.heads.members]
    expected = np.mean([rows / rows.sum(1, keepdims=True) for rows in softmax], axis=0)
    assert np.allclose(found.heads.probabilities(features, 1.5), expected, atol=1e-6)
    assert np.allclose(np.exp(found.heads.log_probabilities(features, 1.5)), expected, atol=1e-6)


def test_the_penalty_is_the_one_that_answers_best_out_of_fold() -> None:
    """Classes that are far apart want less of it than ones that can hardly be told."""
    chosen = {}
    for name, apart in (("clear", 6.0), ("muddled", 0.3)):
        rng = np.random.default_rng(0)
        targets = np.arange(120) % 3
        features = (rng.normal(size=(120, 30)) + apart * np.eye(30)[targets]).astype(np.float32)
        found = fit_fold_heads(features, targets, np.arange(120) // 3 % 4, views=None, classes=3, penalty=None)
        chosen[name] = found.penalty
    assert chosen == {"clear": PENALTIES[0], "muddled": PENALTIES[-1]}


def test_no_head_lacks_a_class_of_one_picture() -> None:
    features, targets = clusters(31, seed=1)
    targets[:] = np.arange(31) % 2
    targets[30] = 2
    features[30] += 9
    found = fit_fold_heads(features, targets, np.arange(31) % 3, views=None, classes=3, penalty=1.0)
    assert found.logits[30].argmax() == 2


def test_few_pictures_have_ten_folds_at_least() -> None:
    assert [fold_count(499, 5), fold_count(499, 12), fold_count(500, 5)] == [10, 12, 5]
