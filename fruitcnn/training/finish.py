"""From the best weights to the files of a finished checkpoint directory."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import torch

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.config import Config
from fruitcnn.dataset.records import TRAIN, VALIDATION, Dataset
from fruitcnn.dataset.store import PixelRows
from fruitcnn.evaluation.calibration import fit_temperature
from fruitcnn.evaluation.metrics import Metrics, classification_report, evaluate
from fruitcnn.evaluation.plots import plot_confusion, plot_curves
from fruitcnn.export import export_model
from fruitcnn.files import write_text
from fruitcnn.model import answer_model, keras
from fruitcnn.training.callbacks import BestWeights, History, load_weights
from fruitcnn.training.module import ClassifierModule

Say = Callable[[str], object]


def finish(
    module: ClassifierModule,
    config: Config,
    dataset: Dataset,
    folder: Path,
    history: History,
    best: BestWeights,
    say: Say,
) -> None:
    """Evaluate every split, calibrate, export, plot: everything that follows the last epoch."""
    load_weights(module, best.weights)
    model = module.net.model
    targets = {split: dataset.targets(split) for split in dataset.splits}
    logits = {split: _logits(module, dataset.pixels(split, config.data.size)) for split in targets}
    temperature = fit_temperature(logits[VALIDATION], torch.from_numpy(targets[VALIDATION]))
    probabilities = {split: (values / temperature).softmax(1).numpy() for split, values in logits.items()}
    metrics = {split: evaluate(probabilities[split], targets[split], dataset.labels) for split in targets}
    card = _card(model, config, dataset, temperature, metrics, best)
    pixels = dataset.pixels(VALIDATION, config.data.size)[:]
    answer = answer_model(model, temperature=temperature)
    parity = export_model(answer, card, folder, pixels=pixels, reference=probabilities[VALIDATION])
    measured = {split: one.to_dict() for split, one in metrics.items()}
    summary = {"best_epoch": best.epoch, "temperature": temperature, **measured}
    write_text(folder / checkpoint.METRICS, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    plot_curves(history.rows, folder / checkpoint.CURVES, best_epoch=best.epoch)
    shown = metrics[VALIDATION]
    title = f"Validation: {shown.accuracy:.1%} of {shown.images} right"
    plot_confusion(shown.confusion, dataset.labels, folder / checkpoint.CONFUSION, title=title)
    for split, one in metrics.items():
        if split != TRAIN:
            say(f"\n{split}, epoch {best.epoch} (best validation {config.train.best}):")
            say(classification_report(one))
    say(f"\n{parity}")
    say(f"finished: {folder}; try: fruitcnn identify PHOTO --model {folder}")


@torch.no_grad()
def _logits(module: ClassifierModule, pixels: PixelRows) -> torch.Tensor:
    """Float32 logits [N, C] on the CPU, of uint8 pixels [N, S, S, 3]."""
    net, device = module.net.eval(), module.class_weight.device
    batches = (torch.from_numpy(batch).permute(0, 3, 1, 2) for batch in pixels.batches(64))
    return torch.cat([net(batch.to(device).float()).cpu() for batch in batches])


def _card(
    model: keras.Model,
    config: Config,
    dataset: Dataset,
    temperature: float,
    metrics: dict[str, Metrics],
    best: BestWeights,
) -> ModelCard:
    provenance = {
        "architecture": config.model.architecture,
        "parameters": model.count_params(),
        "recipe": config.name,
        "seed": config.seed,
        "epoch": best.epoch,
        "images": {split: one.images for split, one in metrics.items()},
        "accuracy": {split: round(one.accuracy, 4) for split, one in metrics.items()},
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "fruitcnn": fruitcnn.__version__,
    }
    return ModelCard(
        labels=tuple(dataset.labels), size=config.data.size, temperature=temperature, provenance=provenance
    )
