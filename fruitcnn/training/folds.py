"""Networks that are trained besides, each without a fold of the training pictures, to calibrate the one that has all.

What they say to their folds stands for what the network says to new pictures (cross-conformal: Vovk 2015): a little
less sure, for having learned from fewer. They see the same validation and the same pictures of no class.
"""

import dataclasses

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.arrays import BoolArray, IntArray
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.model import has_features, keras
from fruitcnn.outputs import remove_temporaries
from fruitcnn.training.calibration import answers_of, calibrate_out_of_fold, training_folds
from fruitcnn.training.fit import fit_model
from fruitcnn.training.run import Run
from fruitcnn.training.start import starting_model
from fruitcnn.training.trained import Trained
from fruitcnn.training.weights import load_weights


def calibrated_by_folds(trained: Trained, run: Run) -> Trained:
    """The trained network with its answers to every split, and the calibration by networks trained in its folder.

    A fold that has a last.ckpt there goes on from it. Raises what `fit_model` raises.
    """
    config, dataset, size = run.config, run.dataset, run.config.data.size
    folds = training_folds(dataset, config.data.calibration_folds, seed=config.seed)
    pixels = dataset.pixels(TRAIN, size)
    outside_pixels = dataset.outside_pixels(size) if has_features(trained.model) else None
    by_fold, outside_by_fold = [], []
    for fold in range(config.data.calibration_folds):
        model = _network_without(fold, folds, run)
        by_fold.append(answers_of(model, pixels))
        if outside_pixels is not None:
            outside_by_fold.append(answers_of(model, outside_pixels).features)
    answers = {split: answers_of(trained.model, dataset.pixels(split, size)) for split in dataset.splits}
    calibration = calibrate_out_of_fold(
        answers[TRAIN].features,
        dataset.targets(TRAIN),
        folds,
        np.stack([found.logits for found in by_fold])[folds, np.arange(len(folds))],
        by_fold=[found.features for found in by_fold],
        outside=None if outside_pixels is None else answers_of(trained.model, outside_pixels).features,
        outside_by_fold=outside_by_fold or None,
        seed=config.seed,
    )
    return dataclasses.replace(trained, calibration=calibration, answers=answers)


def _network_without(fold: int, folds: IntArray, run: Run) -> keras.Model:
    """Train a network in a folder of its own, below the run's, on what is not in the fold. folds: [N]."""
    run.interruption.before += run.config.train.epochs
    folder = run.folder / checkpoint.FOLDS / str(fold + 1)
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporaries(folder)
    rest = dataclasses.replace(run, dataset=_without(run.dataset, folds == fold), folder=folder)
    keras.utils.set_random_seed(run.config.seed)
    model = starting_model(rest.config, rest.dataset)
    fitted = fit_model(model, rest)
    run.interruption.check()
    load_weights(fitted.module, fitted.weights)
    return model


def _without(dataset: Dataset, left_out: BoolArray) -> Dataset:
    """The data set with these of its training pictures [N] in no split."""
    files = {picture.file for picture, out in zip(dataset.in_split(TRAIN), left_out, strict=True) if out}
    records = [
        dataclasses.replace(record, split="") if record.file in files and record.split == TRAIN else record
        for record in dataset.records
    ]
    return dataclasses.replace(dataset, records=records)
