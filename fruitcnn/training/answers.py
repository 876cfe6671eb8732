"""A network's answers to a data set, and the calibration by those to pictures that it has not learned from."""

import numpy as np
import torch

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
from fruitcnn.dataset.store import PixelRows
from fruitcnn.image import Pixels
from fruitcnn.model import TorchForward, features_model, has_features, keras

_BATCH = 32


@torch.no_grad()
def answers_of(model: keras.Model, pixels: PixelRows | Pixels) -> Answers:
    """Run a network, from pixels to logits, on uint8 pixels [N, S, S, 3]: float32, on the CPU."""
    net = TorchForward(features_model(model) if has_features(model) else model).eval()
    parts = []
    for start in range(0, len(pixels), _BATCH):
        batch = torch.from_numpy(pixels[start : start + _BATCH]).permute(0, 3, 1, 2)  # [32, 3, S, S]
        found = net(batch.float().contiguous(memory_format=torch.channels_last))
        parts.append([value.numpy() for value in (found if isinstance(found, tuple) else (found[:, :0], found))])
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def calibrate_network(
    answers: dict[str, Answers], dataset: Dataset, outside: Float32Array | None, *, seed: int
) -> Calibration:
    """Of a network that has learned from the training pictures, by other splits' answers. outside: features [O, D]."""
    split = CALIBRATION if CALIBRATION in answers else VALIDATION
    learned = Features(answers[TRAIN].features, outside)
    return calibrate_held_back(learned, dataset.targets(TRAIN), answers[split], dataset.targets(split), seed=seed)


def training_folds(dataset: Dataset, folds: int, *, seed: int) -> IntArray:
    """A fold 0..folds-1 for each training picture [N], near-duplicates together."""
    names = [picture.group or picture.file for picture in dataset.in_split(TRAIN)]
    groups = np.unique(names, return_inverse=True)[1]
    return assign_folds(dataset.targets(TRAIN), groups, folds=folds, seed=seed)


def calibrate_head(
    features: Features, views: Float32Array | None, dataset: Dataset, head: HeadConfig, *, seed: int
) -> Calibration:
    """Of a network whose last layer alone learns from the training pictures' features and views' [N, D]."""
    folds = training_folds(dataset, head.folds, seed=seed)
    targets, classes = dataset.targets(TRAIN), len(dataset.labels)
    logits = held_out_logits(features.known, targets, folds, views=views, classes=classes, penalty=head.penalty)
    return calibrate_out_of_fold(features, targets, folds, logits, by_fold=[features] * head.folds, seed=seed)
