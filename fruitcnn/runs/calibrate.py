"""Calibration of a data set's answers by those to pictures that the network has not learned from."""

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.held_out import (
    Answers,
    Calibration,
    Features,
    assign_folds,
    calibrate_held_back,
    calibrate_out_of_fold,
    held_out_logits,
)
from fruitcnn.config import HeadConfig
from fruitcnn.dataset.records import CALIBRATION, TRAIN, VALIDATION, Dataset


def calibrate_network(
    answers: dict[str, Answers], dataset: Dataset, outside: Float32Array | None, *, seed: int
) -> Calibration:
    """Of a network that has learned from the training pictures, by other splits' answers. outside: features [O, D]."""
    split = CALIBRATION if CALIBRATION in answers else VALIDATION
    learned = Features(answers[TRAIN].features, outside)
    return calibrate_held_back(learned, dataset.targets(TRAIN), answers[split], dataset.targets(split), seed=seed)


def training_folds(dataset: Dataset, folds: int, *, seed: int) -> IntArray:
    """A fold 0..folds-1 for each training picture [N]: near-duplicates together, but for a class that has no others."""
    return assign_folds(dataset.targets(TRAIN), _groups(dataset), folds=folds, seed=seed)


def remarks_on_folds(dataset: Dataset, folds: IntArray) -> list[str]:
    """What to tell people of the classes whose calibration is worth less than that of the others. folds: [N]."""
    targets, groups = dataset.targets(TRAIN), _groups(dataset)
    whole = np.array([len(np.unique(folds[groups == group])) == 1 for group in groups])
    apart = [dataset.labels[label] for label in np.unique(targets[~whole])]
    alone = [label for number, label in enumerate(dataset.labels) if len(np.unique(folds[targets == number])) == 1]
    remarks = []
    if apart:
        problem = f"all training pictures of {', '.join(apart)} are near-duplicates of each other"
        remarks.append(f"warning: {problem}; calibration takes them for different ones, so percentages may be too high")
    if alone:
        problem = f"there is only one training picture of {', '.join(alone)}"
        remarks.append(f"warning: {problem}; what calibrates has never met the class, so percentages may be too low")
    return remarks


def _groups(dataset: Dataset) -> IntArray:
    """A number for each training picture [N], the same for near-duplicates."""
    names = [picture.group or picture.file for picture in dataset.in_split(TRAIN)]
    return np.unique(names, return_inverse=True)[1]


def calibrate_head(
    features: Features, views: Float32Array | None, dataset: Dataset, folds: IntArray, head: HeadConfig, *, seed: int
) -> Calibration:
    """Of a network whose last layer alone learns from the training pictures' features and views' [N, D]. folds: [N]."""
    targets, classes = dataset.targets(TRAIN), len(dataset.labels)
    logits = held_out_logits(features.known, targets, folds, views=views, classes=classes, penalty=head.penalty)
    return calibrate_out_of_fold(features, targets, folds, logits, by_fold=[features] * head.folds, seed=seed)
