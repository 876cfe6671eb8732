"""Networks that are trained besides, each without a fold of the training pictures, to calibrate the one that has all.

What they say to their folds stands for what the network says to new pictures (cross-conformal: Vovk 2015): a little
less sure, for having learned from fewer. They see the same validation and the same pictures of no class.
"""

import dataclasses

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.arrays import BoolArray, IntArray
from fruitcnn.calibration.held_out import Answers, Calibration, Features, OutOfFold, calibrate_out_of_fold
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.model import has_features, keras
from fruitcnn.runs.calibrate import known_pictures, remarks_on_folds, training_folds
from fruitcnn.temporaries import remove_temporaries
from fruitcnn.terminal import printable
from fruitcnn.training.answers import answers_of
from fruitcnn.training.fit import fit_model
from fruitcnn.training.run import NetworkRun
from fruitcnn.training.start import starting_model
from fruitcnn.training.weights import load_weights

# Answers by split, and what makes them honest.
Calibrated = tuple[dict[str, Answers], Calibration]


def calibrated_by_folds(model: keras.Model, run: NetworkRun) -> Calibrated:
    """A trained network's answers to every split, and its calibration by networks trained in its folder.

    A fold that has a last.ckpt there goes on from it. Raises what `fit_model` raises.
    """
    config, dataset, size = run.config, run.dataset, run.config.data.size
    folds = training_folds(dataset, config.data.calibration_folds, seed=config.seed)
    for line in remarks_on_folds(dataset, folds):
        run.print_line(printable(line))
    pixels = dataset.pixels(TRAIN, size)
    outside_pixels = dataset.outside_pixels(size) if has_features(model) else None
    by_fold: list[Answers] = []
    features: list[Features] = []
    for fold in range(config.data.calibration_folds):
        other = _network_without(fold, folds, run)
        by_fold.append(answers_of(other, pixels))
        features.append(_features(other, by_fold[-1], outside_pixels))
    answers = {split: answers_of(model, dataset.pixels(split, size)) for split in dataset.splits}
    calibration = calibrate_out_of_fold(
        _features(model, answers[TRAIN], outside_pixels),
        known_pictures(dataset),
        OutOfFold(folds, np.stack([found.logits for found in by_fold])[folds, np.arange(len(folds))], features),
        seed=config.seed,
    )
    return answers, calibration


def _network_without(fold: int, folds: IntArray, run: NetworkRun) -> keras.Model:
    """Train a network in a folder of its own, below the run's, on what is not in the fold. folds: [N]."""
    run.interruption.before += run.config.train.epochs
    folder = run.folder / checkpoint.FOLDS / str(fold + 1)
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    # No network lacks a class: the only picture of one stays.
    targets = run.dataset.targets(TRAIN)
    several = np.bincount(targets)[targets] > 1
    rest = dataclasses.replace(run, dataset=_without(run.dataset, (folds == fold) & several), folder=folder)
    keras.utils.set_random_seed(run.config.seed)
    model = starting_model(rest.config, rest.dataset)
    fitted = fit_model(model, rest)
    run.check()
    load_weights(fitted.module, fitted.weights)
    return model


def _features(model: keras.Model, answers: Answers, outside: PixelRows | None) -> Features:
    """Of the pictures of its answers, and of those of no class."""
    return Features(answers.features, None if outside is None else answers_of(model, outside).features)


def _without(dataset: Dataset, left_out: BoolArray) -> Dataset:
    """The data set with these of its training pictures [N] in no split."""
    files = {picture.file for picture, out in zip(dataset.in_split(TRAIN), left_out, strict=True) if out}
    records = [
        dataclasses.replace(record, split="") if record.file in files and record.split == TRAIN else record
        for record in dataset.records
    ]
    return dataclasses.replace(dataset, records=records)
