"""Calibration on answers to pictures that a model has not learned from.

Those are all training pictures, each answered by a layer or a network that was trained without its fold
(cross-conformal: Vovk 2015), where a last layer alone learns or the recipe asks for it; else pictures that were set
aside, or those of the validation split, which may have chosen the epoch and so look a little easier than new ones.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.familiarity import Familiarity, fit_familiarity, held_out_scores, new_scores
from fruitcnn.calibration.temperature import LOWEST, fit_safe_temperature


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What logits are divided by, and the familiarity (None for a network that does not end in a Dense layer).

    count: of how many pictures that were not learned from, near-duplicates counted once. held_out: calibrated logits
    [N, C] of the training pictures by models that had not met them, where there are such.
    """

    temperature: float
    familiarity: Familiarity | None
    count: int
    held_out: Float32Array | None = None


@dataclasses.dataclass(frozen=True)
class Answers:
    """A network's features [N, D] and logits [N, C] of N pictures. D is 0 where it does not end in a Dense layer.

    probabilities: [N, C], calibrated, where they are not the softmax of the calibrated logits but a mean of several.
    """

    features: Float32Array
    logits: Float32Array
    probabilities: Float32Array | None = None


@dataclasses.dataclass(frozen=True)
class Features:
    """What a network makes of pictures: features [N, D] of known ones and, where there are such, [O, D] of others."""

    known: Float32Array
    outside: Float32Array | None = None


@dataclasses.dataclass(frozen=True)
class Known:
    """Which class each of N pictures is of, [N], and which are near-duplicates: groups int [N], equal for those."""

    targets: IntArray
    groups: IntArray


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """What was trained without a fold of the known pictures says to it.

    folds: of each picture, [N]; logits: [N, C], by what was trained without it; features: for each fold, those of all
    pictures by the network that was trained without it (the same one throughout where only a last layer learned).
    """

    folds: IntArray
    logits: Float32Array
    features: Sequence[Features]


def calibrate_held_back(
    learned: Features, targets: IntArray, held_back: Answers, known: Known, *, seed: int
) -> Calibration:
    """By pictures [M], known ones, that were held back from a network.

    learned, targets: features and class indices [N] of the pictures that it has learned from.
    """
    temperature = fit_safe_temperature(held_back.logits, known.targets, known.groups, at_least=LOWEST)
    count = len(np.unique(known.groups))
    if not held_back.features.shape[1]:
        return Calibration(temperature, None, count)
    scores = new_scores(learned.known, targets, held_back.features, outside=learned.outside, seed=seed)
    scores = dataclasses.replace(scores, groups=known.groups)
    logits = held_back.logits / np.float32(temperature)
    fitted = fit_familiarity(learned.known, targets, scores, logits, outside=learned.outside, seed=seed)
    return Calibration(temperature, fitted, count)


def calibrate_out_of_fold(
    features: Features, known: Known, answered: OutOfFold, *, at_least: float = LOWEST, seed: int
) -> Calibration:
    """By all training pictures [N], known ones: their features by the network itself. at_least: the temperature."""
    targets, logits = known.targets, answered.logits
    # The only picture of a class says nothing: whatever answers for it has met it, or has never met the class.
    several = np.bincount(targets)[targets] > 1
    temperature = max(1.0, at_least)
    if several.any():
        temperature = fit_safe_temperature(logits[several], targets[several], known.groups[several], at_least=at_least)
    logits = logits / np.float32(temperature)
    count = len(np.unique(known.groups))
    if not features.known.shape[1]:
        return Calibration(temperature, None, count, logits)
    outside = [rows.outside for rows in answered.features if rows.outside is not None] or None
    rows = [one.known for one in answered.features]
    scores = held_out_scores(rows, targets, answered.folds, outside=outside, seed=seed)
    scores = dataclasses.replace(scores, groups=known.groups)
    fitted = fit_familiarity(features.known, targets, scores, logits, outside=features.outside, seed=seed)
    return Calibration(temperature, fitted, count, logits)


def assign_folds(targets: IntArray, groups: IntArray, *, folds: int, seed: int) -> IntArray:
    """A fold 0..folds-1 for each of N pictures, stratified by class [N]; a group [N] of near-duplicates stays whole.

    But not where that would leave what is trained without a fold with next to nothing of a class: a group that has more
    than half of its class is dealt out picture by picture. What is of several classes is a group in each of them.
    """
    rng = np.random.default_rng(seed)
    fold_of = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        pictures = np.flatnonzero(targets == label)
        # The large groups are dealt first, each to the emptiest fold.
        names, sizes = np.unique(groups[pictures], return_counts=True)
        order = rng.permutation(len(names))
        order = order[np.argsort(-sizes[order], kind="stable")]
        load = np.zeros(folds)
        # No class fills fold 0 first: small ones would all come to lie there.
        start = rng.permutation(folds)
        for number in order:
            members = pictures[groups[pictures] == names[number]]
            parts = members[:, None] if 2 * len(members) > len(pictures) else [members]
            for part in parts:
                fold = start[np.argmin(load[start])]
                fold_of[part] = fold
                load[fold] += len(part)
    return fold_of
