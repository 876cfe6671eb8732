"""Calibration of a data set's answers by those to pictures that the network has not learned from."""

import collections

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.fold_heads import FoldHeads, calibrate_fold_heads, fit_fold_heads, fold_count
from fruitcnn.calibration.held_out import (
    Answers,
    Calibration,
    Features,
    Known,
    assign_folds,
    calibrate_held_back,
)
from fruitcnn.config import HeadConfig
from fruitcnn.dataset.records import CALIBRATION, TRAIN, VALIDATION, Dataset, group_numbers


def calibrate_network(
    answers: dict[str, Answers], dataset: Dataset, outside: Float32Array | None, *, seed: int
) -> Calibration:
    """Of a network that has learned from the training pictures, by other splits' answers. outside: features [O, D]."""
    split = CALIBRATION if CALIBRATION in answers else VALIDATION
    learned, known = Features(answers[TRAIN].features, outside), known_pictures(dataset, split)
    return calibrate_held_back(learned, dataset.targets(TRAIN), answers[split], known, seed=seed)


def known_pictures(dataset: Dataset, split: str = TRAIN) -> Known:
    """What is known of a split's pictures."""
    return Known(dataset.targets(split), group_numbers(dataset.in_split(split)))


def head_folds(dataset: Dataset, head: HeadConfig, *, seed: int) -> IntArray:
    """`training_folds` for last layers."""
    return training_folds(dataset, fold_count(len(dataset.in_split(TRAIN)), head.folds), seed=seed)


def training_folds(dataset: Dataset, folds: int, *, seed: int) -> IntArray:
    """A fold 0..folds-1 for each training picture [N]: near-duplicates together, but for a class that has no others."""
    known = known_pictures(dataset)
    return assign_folds(known.targets, known.groups, folds=folds, seed=seed)


def remarks_on_folds(dataset: Dataset, folds: IntArray) -> list[str]:
    """What to tell people of the classes whose calibration is worth less than that of the others. folds: [N]."""
    known = known_pictures(dataset)
    targets, groups = known.targets, known.groups
    pairs = set(zip(targets.tolist(), groups.tolist(), folds.tolist(), strict=True))
    whole = collections.Counter((label, group) for label, group, _ in pairs)
    apart = [dataset.labels[label] for label in sorted({label for (label, _), count in whole.items() if count > 1})]
    alone = [label for number, label in enumerate(dataset.labels) if len(np.unique(folds[targets == number])) == 1]
    remarks = []
    if apart:
        problem = f"most training pictures of {', '.join(apart)} are near-duplicates of each other"
        remarks.append(f"warning: {problem}; calibration takes them for different ones, so percentages may be too high")
    if alone:
        problem = f"there is only one training picture of {', '.join(alone)}"
        remarks.append(f"warning: {problem}; all folds learn from it, so nothing tells how well it is known")
    return remarks


def calibrate_head(
    features: Features, views: Float32Array | None, dataset: Dataset, folds: IntArray, head: HeadConfig, *, seed: int
) -> tuple[FoldHeads, Calibration]:
    """Last layers on the training pictures' features and views' [N, D], and what makes their answers honest.

    folds: [N].
    """
    known, classes = known_pictures(dataset), len(dataset.labels)
    fitted = fit_fold_heads(features.known, known.targets, folds, views=views, classes=classes, penalty=head.penalty)
    return fitted, calibrate_fold_heads(features, known, folds, fitted, seed=seed)
