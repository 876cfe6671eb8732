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
from fruitcnn.calibration.linear_probe import fit_head
from fruitcnn.calibration.temperature import fit_temperature


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What logits are divided by, and the familiarity (None for a network that does not end in a Dense layer).

    held_out: calibrated logits [N, C] of the training pictures by models that had not met them, where there are such.
    """

    temperature: float
    familiarity: Familiarity | None
    held_out: Float32Array | None = None


@dataclasses.dataclass(frozen=True)
class Answers:
    """A network's features [N, D] and logits [N, C] of N pictures. D is 0 where it does not end in a Dense layer."""

    features: Float32Array
    logits: Float32Array


@dataclasses.dataclass(frozen=True)
class Features:
    """What a network makes of pictures: features [N, D] of known ones and, where there are such, [O, D] of others."""

    known: Float32Array
    outside: Float32Array | None = None


def calibrate_held_back(
    learned: Features, targets: IntArray, held_back: Answers, held_back_targets: IntArray, *, seed: int
) -> Calibration:
    """By pictures [M] that were held back from a network.

    learned, targets: features and class indices [N] of the pictures that it has learned from.
    """
    temperature = fit_temperature(held_back.logits, held_back_targets)
    if not held_back.features.shape[1]:
        return Calibration(temperature, None)
    scores = new_scores(learned.known, targets, held_back.features, outside=learned.outside, seed=seed)
    logits = held_back.logits / np.float32(temperature)
    fitted = fit_familiarity(learned.known, targets, scores, logits, outside=learned.outside, seed=seed)
    return Calibration(temperature, fitted)


def calibrate_out_of_fold(
    features: Features,
    targets: IntArray,
    folds: IntArray,
    logits: Float32Array,
    *,
    by_fold: Sequence[Features],
    seed: int,
) -> Calibration:
    """By all training pictures: their features by the network itself, class indices [N] and folds [N].

    logits: [N, C] by what was trained without each picture's fold. by_fold: for each fold, features of all pictures by
    the network that was trained without it (the same one throughout where only a last layer learned).
    """
    temperature = fit_temperature(logits, targets)
    logits = logits / np.float32(temperature)
    if not features.known.shape[1]:
        return Calibration(temperature, None, logits)
    outside = [rows.outside for rows in by_fold if rows.outside is not None] or None
    scores = held_out_scores([rows.known for rows in by_fold], targets, folds, outside=outside, seed=seed)
    fitted = fit_familiarity(features.known, targets, scores, logits, outside=features.outside, seed=seed)
    return Calibration(temperature, fitted, logits)


def assign_folds(targets: IntArray, groups: IntArray, *, folds: int, seed: int) -> IntArray:
    """A fold 0..folds-1 for each of N pictures, stratified by class [N]; a group [N] of near-duplicates stays whole.

    But a class that has nothing else would lie in one fold, and what is trained without that fold would answer for
    pictures of a class that it never met: such a class is dealt out picture by picture.
    """
    rng = np.random.default_rng(seed)
    names, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    chosen = np.zeros(len(names), np.int64)
    for label in np.unique(targets):
        # A group belongs to the class of its first picture. The large ones are dealt first, each to the emptiest fold.
        members = rng.permutation(np.flatnonzero(targets[first] == label))
        members = members[np.argsort(-sizes[members], kind="stable")]
        load = np.zeros(folds)
        # No class fills fold 0 first: small ones would all come to lie there.
        start = rng.permutation(folds)
        for member in members:
            fold = start[np.argmin(load[start])]
            chosen[member], load[fold] = fold, load[fold] + sizes[member]
    fold_of = chosen[np.searchsorted(names, groups)]
    for label in np.unique(targets):
        pictures = np.flatnonzero(targets == label)
        if len(np.unique(fold_of[pictures])) == 1:
            fold_of[pictures] = rng.permutation(len(pictures)) % folds
    return fold_of


def held_out_logits(
    features: Float32Array,
    targets: IntArray,
    folds: IntArray,
    *,
    views: Float32Array | None,
    classes: int,
    penalty: float,
) -> Float32Array:
    """Logits [N, C] of every picture by a head that was fitted without its fold.

    features: [N, D]; views: [N, D] of other views of the same pictures, which the heads learn from too.
    """
    logits = np.zeros((len(targets), classes), np.float32)
    for fold in np.unique(folds):
        seen = folds != fold
        parts = [features[seen]] if views is None else [features[seen], views[seen]]
        head = fit_head(np.concatenate(parts), np.tile(targets[seen], len(parts)), classes=classes, penalty=penalty)
        logits[~seen] = head.logits(features[~seen])
    return logits
