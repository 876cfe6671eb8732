"""What a trained network answers once it is calibrated, of every split."""

import dataclasses

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.conformal import promised_share
from fruitcnn.calibration.held_out import Calibration
from fruitcnn.calibration.softmax import softmax
from fruitcnn.calibration.temperature import HIGHEST, LOWEST
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.evaluation.measured import Metrics, measure
from fruitcnn.evaluation.predictions import HELD_OUT, Prediction, Predictions
from fruitcnn.evaluation.sample import Sample
from fruitcnn.runs.run import Run
from fruitcnn.runs.trained import Trained
from fruitcnn.wording import counted

# Of new pictures of the known classes at most one in twenty is refused, where enough known ones could say so.
REFUSE_BELOW = 0.05


def refusals_on_card(count: int) -> dict[str, float]:
    """What the card says of familiarity. count: of the pictures that it was calibrated on."""
    return {
        "refuse_below": REFUSE_BELOW,
        "refuses_members": promised_share(REFUSE_BELOW, count),
        "calibrated_on": count,
    }


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
                warning=picture.warning,
            )
            for picture in dataset.pictures
        )
        return Predictions(tuple(dataset.labels), tuple(rows))


def evaluate_splits(trained: Trained, run: Run) -> Evaluated:
    """Measure a network on every split."""
    dataset, answers, calibration = run.dataset, trained.answers, trained.calibration
    if calibration.temperature in (LOWEST, HIGHEST):
        run.print_line(_describe_bound(calibration.temperature))
    if calibration.familiarity and (promised := promised_share(REFUSE_BELOW, calibration.count)) > REFUSE_BELOW:
        known = counted(calibration.count, "picture", "pictures")
        run.print_line(
            f"{known} can't promise that at most {REFUSE_BELOW:.0%} of new members are refused: {promised:.1%} may be"
        )
    logits = {split: found.logits / np.float32(calibration.temperature) for split, found in answers.items()}
    probabilities = {
        split: softmax(logits[split]) if found.probabilities is None else found.probabilities
        for split, found in answers.items()
    }
    fitted = calibration.familiarity
    familiarity = {
        split: fitted.p_value(fitted.score(found.features, logits[split])) for split, found in answers.items() if fitted
    }
    metrics = {
        split: measure(_sample(probabilities[split], dataset.targets(split), familiarity.get(split)), dataset.labels)
        for split in answers
    }
    held_out = {} if calibration.held_out is None else {TRAIN: softmax(calibration.held_out)}
    if TRAIN in held_out:
        metrics[HELD_OUT] = measure(_sample(held_out[TRAIN], dataset.targets(TRAIN), None), dataset.labels)
    return Evaluated(calibration, probabilities, familiarity, metrics, held_out)


def _sample(probabilities: Float32Array, targets: IntArray, familiarity: Float32Array | None) -> Sample:
    below = None if familiarity is None else REFUSE_BELOW
    return Sample.of(probabilities, targets, scores=familiarity, refuse_below=below)


def _describe_bound(temperature: float) -> str:
    wrong = "surer than it is right" if temperature == HIGHEST else "far less sure than it is right"
    said = f"warning: calibration ends at its bound (temperature {temperature:g})"
    return f"{said}: the network is {wrong}; look at the labels, and don't rely on the percentages"
