"""What a trained network answers once it is calibrated, of every split."""

import dataclasses

import numpy as np

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.held_out import Answers, Calibration
from fruitcnn.calibration.softmax import softmax
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.evaluation.metrics import Metrics, evaluate
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.model import has_features
from fruitcnn.training.answers import answers_of, calibrate_network
from fruitcnn.training.run import Run
from fruitcnn.training.trained import Trained

# Figures of the training pictures, by models that had not met them.
HELD_OUT = "held_out"


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What the calibrated model answers: probabilities float32 [N, C], familiarity [N] and metrics, by split.

    held_out: probabilities [N, C] by models that had not met the pictures, by split; their metrics are HELD_OUT.
    """

    calibration: Calibration
    probabilities: dict[str, Float32Array]
    familiarity: dict[str, Float32Array]
    metrics: dict[str, Metrics]
    held_out: dict[str, Float32Array]

    def predictions(self, dataset: Dataset) -> Predictions:
        """A row a picture, in the order of the data set."""
        probabilities, familiarity, held_out = (
            {split: iter(rows.tolist()) for split, rows in found.items()}
            for found in (self.probabilities, self.familiarity, self.held_out)
        )
        rows = (
            Prediction(
                picture.file,
                picture.split,
                picture.label,
                tuple(next(probabilities[picture.split])),
                next(familiarity.get(picture.split, iter(())), None),
                held_out=tuple(next(held_out.get(picture.split, iter(())), ())),
            )
            for picture in dataset.pictures
        )
        return Predictions(tuple(dataset.labels), tuple(rows))


def evaluate_splits(trained: Trained, run: Run) -> Evaluated:
    """Calibrate a network where it is not calibrated yet, and measure it on every split."""
    dataset, answers = run.dataset, _answers(trained, run)
    calibration = trained.calibration or _calibrated(trained, run, answers)
    logits = {split: found.logits / np.float32(calibration.temperature) for split, found in answers.items()}
    probabilities = {split: softmax(values) for split, values in logits.items()}
    metrics = {split: evaluate(probabilities[split], dataset.targets(split), dataset.labels) for split in answers}
    fitted = calibration.familiarity
    familiarity = {
        split: fitted.p_value(fitted.score(found.features, logits[split])) for split, found in answers.items() if fitted
    }
    held_out = {} if calibration.held_out is None else {TRAIN: softmax(calibration.held_out)}
    if TRAIN in held_out:
        metrics[HELD_OUT] = evaluate(held_out[TRAIN], dataset.targets(TRAIN), dataset.labels)
    return Evaluated(calibration, probabilities, familiarity, metrics, held_out)


def _answers(trained: Trained, run: Run) -> dict[str, Answers]:
    if trained.answers is not None:
        return trained.answers
    dataset, size = run.dataset, run.config.data.size
    return {split: answers_of(trained.model, dataset.pixels(split, size)) for split in dataset.splits}


def _calibrated(trained: Trained, run: Run, answers: dict[str, Answers]) -> Calibration:
    pixels = run.dataset.outside_pixels(run.config.data.size) if has_features(trained.model) else None
    outside = None if pixels is None else answers_of(trained.model, pixels).features
    return calibrate_network(answers, run.dataset, outside, seed=run.config.seed)
