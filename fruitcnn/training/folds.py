"""Networks that are trained besides, each without a fold of the training pictures, to calibrate the one that has all.

What they say to their folds stands for what the network says to new pictures (cross-conformal: Vovk 2015): a little
less sure, for having learned from fewer. They see the same validation and the same pictures of no class.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.model import has_features, keras
from fruitcnn.outputs import remove_temporaries
from fruitcnn.training.calibration import Answers, answers_of, calibrate_out_of_fold, training_folds
from fruitcnn.training.fit import fit_model
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.results import Trained
from fruitcnn.training.start import starting_model
from fruitcnn.training.weights import load_weights


def calibrated_by_folds(
    trained: Trained,
    config: Config,
    dataset: Dataset,
    folder: Path,
    where: torch.device,
    *,
    interruption: Interruption,
    quiet: bool,
) -> Trained:
    """The trained network with its answers to every split, and the calibration by networks trained below `folder`.

    A fold that has a last.ckpt there goes on from it. Raises what `fit_model` raises.
    """
    size = config.data.size
    folds = training_folds(dataset, config.data.calibration_folds, seed=config.seed)
    strangers = dataset.outside_pixels(size) if has_features(trained.model) else None
    learned, outside = dataset.pixels(TRAIN, size), []
    by_fold: list[Answers] = []
    for fold in range(config.data.calibration_folds):
        interruption.before += config.train.epochs
        own = folder / checkpoint.FOLDS / str(fold + 1)
        own.mkdir(parents=True, exist_ok=True)
        remove_temporaries(own)
        rest = _without(dataset, folds == fold)
        keras.utils.set_random_seed(config.seed)
        model = starting_model(config, rest, quiet=quiet)
        fitted = fit_model(model, config, rest, own, where, interruption=interruption, quiet=quiet)
        interruption.check()
        load_weights(fitted.module, fitted.weights)
        by_fold.append(answers_of(model, learned))
        if strangers is not None:
            outside.append(answers_of(model, strangers).features)
    answers = {split: answers_of(trained.model, dataset.pixels(split, size)) for split in dataset.splits}
    calibration = calibrate_out_of_fold(
        answers[TRAIN].features,
        dataset.targets(TRAIN),
        folds,
        np.stack([found.logits for found in by_fold])[folds, np.arange(len(folds))],
        by_fold=[found.features for found in by_fold],
        outside=None if strangers is None else answers_of(trained.model, strangers).features,
        outside_by_fold=outside or None,
        seed=config.seed,
    )
    return dataclasses.replace(trained, calibration=calibration, answers=answers)


def _without(dataset: Dataset, left_out: NDArray[np.bool_]) -> Dataset:
    """The data set with these of its training pictures [N] in no split."""
    files = {picture.file for picture, out in zip(dataset.in_split(TRAIN), left_out, strict=True) if out}
    records = [
        dataclasses.replace(record, split="") if record.file in files and record.split == TRAIN else record
        for record in dataset.records
    ]
    return dataclasses.replace(dataset, records=records)
