"""Near-duplicates count once in what is promised of new pictures."""

import numpy as np

from fruitcnn.calibration.conformal import promised_share
from fruitcnn.calibration.familiarity import FoldScores, fit_familiarity
from fruitcnn.calibration.held_out import Features, Known, OutOfFold, calibrate_out_of_fold


def test_new_members_of_new_bursts_are_refused_as_rarely_as_promised() -> None:
    """Ten bursts of twenty: by pictures nine in a hundred fell below 0.05, by bursts no more than ten could promise."""
    rng = np.random.default_rng(0)
    refused = {True: 0.0, False: 0.0}
    for _ in range(400):
        likeness = np.repeat(rng.normal(size=10), 20).astype(np.float32) + rng.normal(size=200, scale=0.01)
        groups = np.repeat(np.arange(10), 20)
        new = rng.normal(size=50)
        for known in (None, groups):
            held_out = FoldScores(likeness.astype(np.float32), np.zeros(200, np.float32), known)
            features, targets = np.eye(4, dtype=np.float32)[rng.integers(0, 4, 200)], rng.integers(0, 2, 200)
            fitted = fit_familiarity(features, targets, held_out, np.zeros((200, 2), np.float32))
            energy = fitted.factors[1] * np.log(2)
            below = fitted.p_value((fitted.factors[0] * new + energy).astype(np.float32)) < 0.05
            refused[known is not None] += below.mean() / 400
    assert refused[True] <= promised_share(0.05, 10) < refused[False] or refused[True] < 0.05 < refused[False]


def test_one_picture_of_each_class_calibrates_nothing() -> None:
    features = np.eye(3, dtype=np.float32)
    known = Known(np.arange(3), np.arange(3))
    logits = np.zeros((3, 3), np.float32)
    none = [Features(np.zeros((3, 0), np.float32))] * 3
    found = calibrate_out_of_fold(none[0], known, OutOfFold(np.arange(3), logits, none), seed=0)
    assert found.temperature == 1.0 and found.familiarity is None and found.count == len(features)
