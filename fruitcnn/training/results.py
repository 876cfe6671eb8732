"""From the best weights to the files of a finished checkpoint directory."""

import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.config import Config
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION, Dataset
from fruitcnn.evaluation.metrics import Metrics, classification_report, evaluate
from fruitcnn.evaluation.plots import plot_confusion, plot_curves
from fruitcnn.evaluation.predictions import Prediction, Predictions, write_predictions
from fruitcnn.export import export_model, measure_reference
from fruitcnn.model import answer_model, has_features, keras
from fruitcnn.outputs import write_text
from fruitcnn.report import write_run_report
from fruitcnn.terminal import printable
from fruitcnn.training.calibration import Answers, Calibration, answers_of, calibrate_held_back
from fruitcnn.training.history import write_history

Floats = NDArray[np.float32]
# Of pictures of the known classes one in twenty is refused.
REFUSE_BELOW = 0.05
# Figures of the training pictures, by models that had not met them.
HELD_OUT = "held_out"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, from pixels to logits, with its final weights; which epoch they are of; the rows of metrics.csv.

    epoch: None where the last layer was fitted at once; there are no rows then. calibration: None for one that is to be
    calibrated on pictures that were held back. answers: of every split, where they are known already.
    """

    model: keras.Model
    epoch: int | None
    rows: list[dict[str, float]]
    calibration: Calibration | None = None
    answers: dict[str, Answers] | None = None


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What the calibrated model answers: probabilities float32 [N, C], familiarity [N] and metrics, by split.

    held_out: probabilities [N, C] by models that had not met the pictures, by split; their metrics are HELD_OUT.
    """

    calibration: Calibration
    probabilities: dict[str, Floats]
    familiarity: dict[str, Floats]
    metrics: dict[str, Metrics]
    held_out: dict[str, Floats]


def write_results(
    trained: Trained,
    config: Config,
    dataset: Dataset,
    folder: Path,
    *,
    check: Callable[[], object],
    print_line: Callable[[str], object],
) -> None:
    """Evaluate the final weights, calibrate, export, plot: everything that follows the last epoch.

    check: called between the steps, to raise where the run shall stop.
    """
    evaluated = _evaluate_splits(trained, config, dataset)
    check()
    calibration = evaluated.calibration
    model = answer_model(trained.model, temperature=calibration.temperature, familiarity=calibration.familiarity)
    card = _card(trained, config, dataset, evaluated, outputs=_outputs(model))
    size = config.data.size
    rows = dataset.pixels(VALIDATION, size) if config.data.reference == "photographs" else None
    reference = measure_reference(trained.model, dataset.labels, rows, size=size, temperature=calibration.temperature)
    parities = export_model(model, card, folder, reference=reference)
    check()
    _write_evaluation(evaluated, trained, config, dataset, folder)
    how = "the last" if config.train.best == "last" else f"best validation {config.train.best}"
    chosen = "" if trained.epoch is None else f", epoch {trained.epoch} ({how})"
    alone = "training pictures, each by a model without it"
    titles = {VALIDATION: VALIDATION + chosen, TEST: TEST + chosen, HELD_OUT: alone}
    for split, title in titles.items():
        if split in evaluated.metrics:
            print_line(f"\n{title}:")
            print_line(classification_report(evaluated.metrics[split]))
    print_line("")
    for parity in parities:
        print_line(str(parity))
    print_line(printable(f"report: {folder / checkpoint.REPORT}"))
    print_line(printable(f"finished: {folder}; try: fruitcnn identify PHOTO --model {folder}"))


def _outputs(model: keras.Model) -> tuple[dict[str, Any], ...]:
    """What the card says of the model's outputs."""
    more: dict[str, dict[str, Any]] = {"familiarity": {"refuse_below": REFUSE_BELOW}}
    if "evidence" in model.output_names:
        more["evidence"] = {"grid": list(model.outputs[model.output_names.index("evidence")].shape[2:])}
    return tuple({"name": name, **more.get(name, {})} for name in model.output_names)


def _evaluate_splits(trained: Trained, config: Config, dataset: Dataset) -> Evaluated:
    """Every split's answers, calibrated."""
    size = config.data.size
    answers = trained.answers or {
        split: answers_of(trained.model, dataset.pixels(split, size)) for split in dataset.splits
    }
    calibration = trained.calibration
    if calibration is None:
        strangers = dataset.outside_pixels(size) if has_features(trained.model) else None
        outside = None if strangers is None else answers_of(trained.model, strangers).features
        calibration = calibrate_held_back(answers, dataset, outside, seed=config.seed)
    logits = {split: found.logits / np.float32(calibration.temperature) for split, found in answers.items()}
    probabilities = {split: _softmax(values) for split, values in logits.items()}
    metrics = {split: evaluate(probabilities[split], dataset.targets(split), dataset.labels) for split in answers}
    fitted = calibration.familiarity
    familiarity = {
        split: fitted.p_value(fitted.score(found.features, logits[split])) for split, found in answers.items() if fitted
    }
    held_out = {} if calibration.held_out is None else {TRAIN: _softmax(calibration.held_out)}
    if TRAIN in held_out:
        metrics[HELD_OUT] = evaluate(held_out[TRAIN], dataset.targets(TRAIN), dataset.labels)
    return Evaluated(calibration, probabilities, familiarity, metrics, held_out)


def _softmax(logits: Floats) -> Floats:
    shares: Floats = torch.from_numpy(logits).softmax(1).numpy()
    return shares


def _write_evaluation(evaluated: Evaluated, trained: Trained, config: Config, dataset: Dataset, folder: Path) -> None:
    """metrics, predictions.csv, curves.png, report.html and, at the end, confusion.png: then a run is finished."""
    write_predictions(_predictions(evaluated, dataset), folder / checkpoint.PREDICTIONS)
    by_split = {split: metrics.to_dict() for split, metrics in evaluated.metrics.items()}
    summary = {"temperature": evaluated.calibration.temperature, **by_split}
    if trained.epoch is not None:
        summary = {"best_epoch": trained.epoch, **summary}
        write_history(trained.rows, folder / checkpoint.METRICS_BY_EPOCH)
        plot_curves(trained.rows, folder / checkpoint.CURVES, best_epoch=trained.epoch)
    write_text(folder / checkpoint.METRICS, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    if config.data.path is not None:
        chose = config.head is None and config.train.best != "last"
        write_run_report(folder, Path(config.data.path), chose_epoch=chose)
    shown = evaluated.metrics[VALIDATION]
    title = f"Validation: {shown.accuracy:.1%} of {shown.images} right"
    plot_confusion(shown.confusion, dataset.labels, folder / checkpoint.CONFUSION, title=title)


def _predictions(evaluated: Evaluated, dataset: Dataset) -> Predictions:
    """A row a picture, in the order of the data set."""
    shares, familiar, held_out = (
        {split: iter(rows.tolist()) for split, rows in found.items()}
        for found in (evaluated.probabilities, evaluated.familiarity, evaluated.held_out)
    )
    rows = (
        Prediction(
            picture.file,
            picture.split,
            picture.label,
            tuple(next(shares[picture.split])),
            next(familiar.get(picture.split, iter(())), None),
            held_out=tuple(next(held_out.get(picture.split, iter(())), ())),
        )
        for picture in dataset.pictures
    )
    return Predictions(tuple(dataset.labels), tuple(rows))


def _card(
    trained: Trained, config: Config, dataset: Dataset, evaluated: Evaluated, *, outputs: tuple[dict[str, Any], ...]
) -> ModelCard:
    provenance = {
        "architecture": config.model.architecture,
        "parameters": trained.model.count_params(),
        "recipe": config.name,
        "seed": config.seed,
        **({} if trained.epoch is None else {"epoch": trained.epoch}),
        "images": {split: evaluated.metrics[split].images for split in dataset.splits},
        "accuracy": {split: round(metrics.accuracy, 4) for split, metrics in evaluated.metrics.items()},
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "fruitcnn": fruitcnn.__version__,
    }
    return ModelCard(
        labels=tuple(dataset.labels),
        size=config.data.size,
        outputs=outputs,
        temperature=evaluated.calibration.temperature,
        provenance=provenance,
    )
