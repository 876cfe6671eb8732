"""From the best weights to the files of a finished checkpoint directory."""

import datetime
import json
from pathlib import Path
from typing import Any

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.dataset.records import TEST, VALIDATION
from fruitcnn.evaluation.predictions import write_predictions
from fruitcnn.evaluation.text import metrics_lines
from fruitcnn.export.exporter import export_model
from fruitcnn.export.gate import Parity
from fruitcnn.export.reference import measure_reference
from fruitcnn.model import answer_model, keras
from fruitcnn.outputs import write_text
from fruitcnn.report.run_report import write_run_report
from fruitcnn.terminal import printable
from fruitcnn.training.evaluated import HELD_OUT, REFUSE_BELOW, Evaluated, evaluate_splits
from fruitcnn.training.history import write_history
from fruitcnn.training.plots import plot_confusion, plot_curves
from fruitcnn.training.run import Run
from fruitcnn.training.trained import Trained


def write_results(trained: Trained, run: Run) -> None:
    """Evaluate the final weights, calibrate, export, plot: everything that follows the last epoch."""
    evaluated = evaluate_splits(trained, run)
    run.interruption.check()
    parities = _export(trained, evaluated, run)
    run.interruption.check()
    _write_evaluation(evaluated, trained, run)
    _print_results(evaluated, trained, parities, run)


def _export(trained: Trained, evaluated: Evaluated, run: Run) -> list[Parity]:
    """The model in its formats, compared with the network."""
    calibration, dataset, size = evaluated.calibration, run.dataset, run.config.data.size
    model = answer_model(trained.model, temperature=calibration.temperature, familiarity=calibration.familiarity)
    card = _card(trained, evaluated, run, outputs=_outputs(model))
    rows = dataset.pixels(VALIDATION, size) if run.config.data.reference == "photographs" else None
    reference = measure_reference(trained.model, dataset.labels, rows, size=size, temperature=calibration.temperature)
    return export_model(model, card, run.folder, reference=reference)


def _outputs(model: keras.Model) -> tuple[dict[str, Any], ...]:
    """What the card says of the model's outputs."""
    more: dict[str, dict[str, Any]] = {"familiarity": {"refuse_below": REFUSE_BELOW}}
    if "evidence" in model.output_names:
        more["evidence"] = {"grid": list(model.outputs[model.output_names.index("evidence")].shape[2:])}
    return tuple({"name": name, **more.get(name, {})} for name in model.output_names)


def _card(trained: Trained, evaluated: Evaluated, run: Run, *, outputs: tuple[dict[str, Any], ...]) -> ModelCard:
    config = run.config
    provenance = {
        "architecture": config.model.architecture,
        "parameters": trained.model.count_params(),
        "recipe": config.name,
        "seed": config.seed,
        **({} if trained.epoch is None else {"epoch": trained.epoch}),
        "images": {split: evaluated.metrics[split].images for split in run.dataset.splits},
        "accuracy": {split: round(metrics["accuracy"], 4) for split, metrics in evaluated.metrics.items()},
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "fruitcnn": fruitcnn.__version__,
    }
    return ModelCard(
        labels=tuple(run.dataset.labels),
        size=config.data.size,
        outputs=outputs,
        temperature=evaluated.calibration.temperature,
        provenance=provenance,
    )


def _write_evaluation(evaluated: Evaluated, trained: Trained, run: Run) -> None:
    """metrics, predictions.csv, curves.png, report.html and, at the end, confusion.png: then a run is finished."""
    config, folder = run.config, run.folder
    predictions = evaluated.predictions(run.dataset)
    write_predictions(predictions, folder / checkpoint.PREDICTIONS)
    by_split = {split: metrics.to_dict() for split, metrics in evaluated.metrics.items()}
    summary = {"temperature": evaluated.calibration.temperature, **by_split}
    if trained.epoch is not None:
        summary = {"best_epoch": trained.epoch, **summary}
        write_history(trained.rows, folder / checkpoint.METRICS_BY_EPOCH)
        plot_curves(trained.rows, folder / checkpoint.CURVES, best_epoch=trained.epoch)
    write_text(folder / checkpoint.METRICS, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    if config.data.path is not None:
        chose = config.head is None and config.train.best != "last"
        data, listing = Path(config.data.path), run.dataset.listed
        write_run_report(folder, predictions, evaluated.metrics, data=data, listing=listing, chose_epoch=chose)
    shown = evaluated.metrics[VALIDATION]
    title = f"Validation: {shown['accuracy']:.1%} of {shown.images} right"
    plot_confusion(shown.confusion, run.dataset.labels, folder / checkpoint.CONFUSION, title=title)


def _print_results(evaluated: Evaluated, trained: Trained, parities: list[Parity], run: Run) -> None:
    best = run.config.train.best
    how = "the last" if best == "last" else f"best validation {best}"
    chosen = "" if trained.epoch is None else f", epoch {trained.epoch} ({how})"
    alone = "training pictures, each by a model without it"
    titles = {VALIDATION: VALIDATION + chosen, TEST: TEST + chosen, HELD_OUT: alone}
    for split, title in titles.items():
        if split in evaluated.metrics:
            run.print_line(f"\n{title}:")
            for line in metrics_lines(evaluated.metrics[split]):
                run.print_line(printable(line))
    run.print_line("")
    for parity in parities:
        run.print_line(str(parity))
    run.print_line(printable(f"report: {run.folder / checkpoint.REPORT}"))
    run.print_line(printable(f"finished: {run.folder}; try: fruitcnn identify PHOTO --model {run.folder}"))
