"""From the best weights to the files of a finished checkpoint directory."""

import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.config import Config
from fruitcnn.dataset.records import TRAIN, VALIDATION, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.evaluation.calibration import fit_temperature
from fruitcnn.evaluation.metrics import Metrics, classification_report, evaluate
from fruitcnn.evaluation.plots import plot_confusion, plot_curves
from fruitcnn.evaluation.predictions import Prediction, Predictions, write_predictions
from fruitcnn.export import export_model
from fruitcnn.files import write_text
from fruitcnn.model import answer_model
from fruitcnn.training.fit import Fitted
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.weights import load_weights


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What the calibrated model answers: probabilities float32 [N, C] and their metrics, by split."""

    temperature: float
    probabilities: dict[str, NDArray[np.float32]]
    metrics: dict[str, Metrics]


def write_results(
    fitted: Fitted,
    config: Config,
    dataset: Dataset,
    folder: Path,
    *,
    interruption: Interruption,
    print_line: Callable[[str], object],
) -> None:
    """Evaluate the best weights, calibrate, export, plot: everything that follows the last epoch."""
    best = fitted.best
    load_weights(fitted.module, best.weights)
    evaluated = _evaluate_splits(fitted.module, dataset, size=config.data.size)
    interruption.check()
    card = _card(fitted, config, dataset, evaluated)
    pixels = dataset.pixels(VALIDATION, config.data.size)[:]  # [M, S, S, 3]
    model = answer_model(fitted.module.net.model, temperature=evaluated.temperature)
    parity = export_model(model, card, folder, pixels=pixels, reference=evaluated.probabilities[VALIDATION])
    interruption.check()
    _write_evaluation(evaluated, fitted, dataset, folder)
    for split, metrics in evaluated.metrics.items():
        if split != TRAIN:
            print_line(f"\n{split}, epoch {best.epoch} (best validation {config.train.best}):")
            print_line(classification_report(metrics))
    print_line(f"\n{parity}")
    print_line(f"finished: {folder}; try: fruitcnn identify PHOTO --model {folder}")


def _evaluate_splits(module: ClassifierModule, dataset: Dataset, *, size: int) -> Evaluated:
    """Every split's probabilities, calibrated on the validation split."""
    targets = {split: dataset.targets(split) for split in dataset.splits}
    logits = {split: _logits(module, dataset.pixels(split, size)) for split in targets}
    temperature = fit_temperature(logits[VALIDATION], torch.from_numpy(targets[VALIDATION]))
    probabilities = {split: (values / temperature).softmax(1).numpy() for split, values in logits.items()}
    metrics = {split: evaluate(probabilities[split], targets[split], dataset.labels) for split in targets}
    return Evaluated(temperature, probabilities, metrics)


@torch.no_grad()
def _logits(module: ClassifierModule, pixels: PixelRows) -> torch.Tensor:
    """Float32 logits [N, C] on the CPU, of uint8 pixels [N, S, S, 3]."""
    net, device = module.net.eval(), module.class_weight.device
    batches = (torch.from_numpy(batch).permute(0, 3, 1, 2) for batch in pixels.batches(64))  # [64, 3, S, S] each
    return torch.cat([net(batch.to(device).float()).cpu() for batch in batches])


def _write_evaluation(evaluated: Evaluated, fitted: Fitted, dataset: Dataset, folder: Path) -> None:
    """predictions.csv, metrics.json, curves.png and, at the end, confusion.png: with it a run is finished."""
    write_predictions(_predictions(evaluated, dataset), folder / checkpoint.PREDICTIONS)
    by_split = {split: metrics.to_dict() for split, metrics in evaluated.metrics.items()}
    summary = {"best_epoch": fitted.best.epoch, "temperature": evaluated.temperature, **by_split}
    write_text(folder / checkpoint.METRICS, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    plot_curves(fitted.history.rows, folder / checkpoint.CURVES, best_epoch=fitted.best.epoch)
    shown = evaluated.metrics[VALIDATION]
    title = f"Validation: {shown.accuracy:.1%} of {shown.images} right"
    plot_confusion(shown.confusion, dataset.labels, folder / checkpoint.CONFUSION, title=title)


def _predictions(evaluated: Evaluated, dataset: Dataset) -> Predictions:
    """A row a picture, in the order of the data set."""
    waiting = {split: iter(rows.tolist()) for split, rows in evaluated.probabilities.items()}
    rows = (
        Prediction(picture.file, picture.split, picture.label, tuple(next(waiting[picture.split])))
        for picture in dataset.pictures
    )
    return Predictions(tuple(dataset.labels), tuple(rows))


def _card(fitted: Fitted, config: Config, dataset: Dataset, evaluated: Evaluated) -> ModelCard:
    provenance = {
        "architecture": config.model.architecture,
        "parameters": fitted.module.net.model.count_params(),
        "recipe": config.name,
        "seed": config.seed,
        "epoch": fitted.best.epoch,
        "images": {split: metrics.images for split, metrics in evaluated.metrics.items()},
        "accuracy": {split: round(metrics.accuracy, 4) for split, metrics in evaluated.metrics.items()},
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "fruitcnn": fruitcnn.__version__,
    }
    return ModelCard(
        labels=tuple(dataset.labels), size=config.data.size, temperature=evaluated.temperature, provenance=provenance
    )
