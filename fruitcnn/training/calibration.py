"""What turns a trained network's logits into answers to rely on: a temperature, and familiarity.

Both are fitted on pictures that the network has not learned from: on all training pictures, each answered by a layer
or a network that was trained without its fold (cross-conformal: Vovk 2015), where a last layer alone learns or the
recipe asks for it; else on those that the recipe has set aside, or on the validation split, whose pictures may have
chosen the epoch and so look a little easier than new ones.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fruitcnn.config import HeadConfig
from fruitcnn.dataset.records import CALIBRATION, TRAIN, VALIDATION, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.evaluation.calibration import fit_temperature
from fruitcnn.image import Pixels
from fruitcnn.model import TorchForward, features_model, has_features, keras
from fruitcnn.model.familiarity import (
    Familiarity,
    fit_familiarity,
    held_out_scores,
    new_scores,
)
from fruitcnn.training.head import assign_folds, held_out_logits

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What logits are divided by, and the familiarity (None for a network that does not end in a Dense layer).

    held_out: calibrated logits [N, C] of the training pictures by models that had not met them, where there are such.
    """

    temperature: float
    familiarity: Familiarity | None
    held_out: Floats | None = None


@dataclasses.dataclass(frozen=True)
class Answers:
    """A network's features [N, D] and logits [N, C] of N pictures. D is 0 where it does not end in a Dense layer."""

    features: Floats
    logits: Floats


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


def calibrate_held_back(
    answers: dict[str, Answers], dataset: Dataset, outside: Floats | None, *, seed: int
) -> Calibration:
    """Of a network that has learned from the training pictures. outside: features [O, D]."""
    split = CALIBRATION if CALIBRATION in answers else VALIDATION
    known, new = answers[TRAIN], answers[split]
    temperature = fit_temperature(torch.from_numpy(new.logits), torch.from_numpy(dataset.targets(split)))
    if not known.features.shape[1]:
        return Calibration(temperature, None)
    targets = dataset.targets(TRAIN)
    scores = new_scores(known.features, targets, new.features, outside=outside, seed=seed)
    logits = new.logits / np.float32(temperature)
    return Calibration(
        temperature, fit_familiarity(known.features, targets, scores, logits, outside=outside, seed=seed)
    )


def training_folds(dataset: Dataset, folds: int, *, seed: int) -> Indices:
    """A fold 0..folds-1 for each training picture [N], near-duplicates together."""
    names = [picture.group or picture.file for picture in dataset.in_split(TRAIN)]
    groups = np.unique(names, return_inverse=True)[1]
    return assign_folds(dataset.targets(TRAIN), groups, folds=folds, seed=seed)


def calibrate_head(
    features: Floats, views: Floats | None, dataset: Dataset, outside: Floats | None, head: HeadConfig, *, seed: int
) -> Calibration:
    """Of a network whose last layer alone learns from the training pictures' features [N, D] and views' [N, D]."""
    folds = training_folds(dataset, head.folds, seed=seed)
    targets, classes = dataset.targets(TRAIN), len(dataset.labels)
    logits = held_out_logits(features, targets, folds, views=views, classes=classes, penalty=head.penalty)
    return calibrate_out_of_fold(
        features,
        targets,
        folds,
        logits,
        by_fold=[features] * head.folds,
        outside=outside,
        outside_by_fold=None if outside is None else [outside] * head.folds,
        seed=seed,
    )


def calibrate_out_of_fold(
    features: Floats,
    targets: Indices,
    folds: Indices,
    logits: Floats,
    *,
    by_fold: Sequence[Floats],
    outside: Floats | None,
    outside_by_fold: Sequence[Floats] | None,
    seed: int,
) -> Calibration:
    """On all training pictures, with features [N, D] by the network itself, class indices and folds [N].

    logits: [N, C] by what was trained without each picture's fold. by_fold: features [N, D] a fold, of all pictures by
    the network that was trained without that fold. outside, outside_by_fold: features [O, D], likewise.
    """
    temperature = fit_temperature(torch.from_numpy(logits), torch.from_numpy(targets))
    if not features.shape[1]:
        return Calibration(temperature, None, logits / np.float32(temperature))
    scores = held_out_scores(by_fold, targets, folds, outside=outside_by_fold, seed=seed)
    logits = logits / np.float32(temperature)
    familiarity = fit_familiarity(features, targets, scores, logits, outside=outside, seed=seed)
    return Calibration(temperature, familiarity, logits)
