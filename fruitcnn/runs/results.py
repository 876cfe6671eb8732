"""From the best weights to the files of a finished checkpoint directory."""

import datetime
import json
import shlex
from pathlib import Path
from typing import Any

import fruitcnn
from fruitcnn import checkpoint
from fruitcnn.architectures import IMAGENET, NONE, origin
from fruitcnn.card import EVIDENCE, FAMILIARITY, ModelCard
from fruitcnn.dataset.embedded import are_embedded
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION
from fruitcnn.evaluation.predictions import HELD_OUT, Predictions, write_predictions
from fruitcnn.evaluation.priors import CLASS_BALANCE
from fruitcnn.evaluation.text import metrics_lines
from fruitcnn.export.exporter import export_run
from fruitcnn.export.formats import left_out
from fruitcnn.export.gate import Gate, Parity
from fruitcnn.export.reference import measure_reference
from fruitcnn.identify.identifier import Identifier
from fruitcnn.models import DATA, EMBEDDED, find_run, read_card
from fruitcnn.outputs import write_text
from fruitcnn.progress import part
from fruitcnn.report.run_report import run_evaluation, write_run_report
from fruitcnn.runs.evaluated import Evaluated, evaluate_splits, refusals_on_card
from fruitcnn.runs.run import Run
from fruitcnn.runs.trained import Trained
from fruitcnn.runs.verdict import next_commands, verdict
from fruitcnn.terminal import printable


def write_results(trained: Trained, run: Run) -> None:
    """Evaluate, export, report: everything that follows the learning."""
    with part("measuring", share=0.2):
        evaluated = evaluate_splits(trained, run)
    run.check()
    parities: list[Parity] = []
    if run.hooks.export:
        with part("exporting", share=0.7):
            parities = _export(trained, evaluated, run)
        run.check()
    with part("writing the report", share=1.0):
        _write_evaluation(evaluated, trained, run)
    _print_results(evaluated, trained, parities, run)


def _export(trained: Trained, evaluated: Evaluated, run: Run) -> list[Parity]:
    """The model in its formats, compared with the network."""
    network, dataset, size = trained.network.calibrated(trained.calibration), run.dataset, run.config.data.size
    card = _card(trained, evaluated, run, outputs=_card_outputs(network.outputs, trained.calibration.count))
    # Of an extended run all pictures of a split may be known by their features alone.
    at_hand = (dataset.pixels(split, size) for split in (VALIDATION, TRAIN))
    photographs = run.config.data.reference == "photographs"
    rows = next((rows for rows in at_hand if len(rows)), None) if photographs else None
    reference = measure_reference(network.logits, dataset.labels, rows, size=size)
    source = network.source(card, Gate(reference))
    for name in (format.name for format in left_out()):
        command = f"fruitcnn export {shlex.quote(str(run.folder))} --format {name}"
        run.print_line(printable(f"{name}: not installed here; once it is, `{command}` adds its file"))
    return export_run(source, run.folder)


def _card_outputs(outputs: dict[str, list[int]], count: int) -> tuple[dict[str, Any], ...]:
    """What the card says of the outputs. outputs: shapes without the batch, by name; count: of calibrating pictures."""
    more: dict[str, dict[str, Any]] = {FAMILIARITY: refusals_on_card(count)}
    if EVIDENCE in outputs:
        more[EVIDENCE] = {"grid": outputs[EVIDENCE][1:]}
    return tuple({"name": name, **more.get(name, {})} for name in outputs)


def _card(trained: Trained, evaluated: Evaluated, run: Run, *, outputs: tuple[dict[str, Any], ...]) -> ModelCard:
    config = run.config
    start = started_from(config.model.architecture, config.model.weights)
    balance = 0.0 if config.head else config.train.class_balance
    provenance = {
        "architecture": config.model.architecture,
        "parameters": trained.network.parameters,
        **({"weights": start} if start else {}),
        "recipe": config.name,
        "seed": config.seed,
        **({} if trained.epoch is None else {"epoch": trained.epoch}),
        **({CLASS_BALANCE: balance} if balance else {}),
        **({DATA: EMBEDDED} if are_embedded(run.dataset.in_split(TRAIN)) else {}),
        "images": {split: evaluated.metrics[split].images for split in run.dataset.splits},
        "accuracy": {split: round(metrics["accuracy"], 4) for split, metrics in evaluated.metrics.items()},
        **({} if config.data.extend is None else {"extends": Path(config.data.extend).resolve().name}),
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


def started_from(architecture: str, weights: str) -> str:
    """Whose weights a training has started from, for the card; empty where it starts from none.

    Of a run it is the name, and what that one has started from: a licence stays with the weights.
    """
    if weights in (IMAGENET, NONE):
        return origin(architecture, weights)
    path = find_run(weights).resolve()
    folder = path if path.is_dir() else path.parent
    if not (folder / checkpoint.CARD).is_file():
        return origin(architecture, path.name)
    before = read_card(folder).provenance.get("weights")
    return origin(architecture, folder.name) + (f", which started from {before}" if before else "")


def _write_evaluation(evaluated: Evaluated, trained: Trained, run: Run) -> None:
    """predictions.csv, the report, what there is of epochs and, at the end, metrics.json: then a run is finished."""
    config, folder = run.config, run.folder
    predictions = evaluated.predictions(run.dataset)
    write_predictions(predictions, folder / checkpoint.PREDICTIONS)
    if config.data.path is not None and run.hooks.export:
        _write_report(Path(config.data.path), predictions, evaluated, trained, run)
    summary = {"temperature": evaluated.calibration.temperature}
    if trained.epoch is not None:
        _write_epochs(trained.rows, trained.epoch, evaluated, run)
        summary = {"best_epoch": trained.epoch, **summary}
    by_split = {split: metrics.to_dict() for split, metrics in evaluated.metrics.items()}
    write_text(folder / checkpoint.METRICS, json.dumps({**summary, **by_split}, indent=2, ensure_ascii=False) + "\n")


def _write_report(data: Path, predictions: Predictions, evaluated: Evaluated, trained: Trained, run: Run) -> None:
    config, identifier = run.config, Identifier.load(run.folder, many=True)
    chose = config.head is None and config.train.best != "last"
    evaluation = run_evaluation(identifier, predictions, evaluated.metrics, chose_epoch=chose, enough=trained.enough)
    write_run_report(identifier, evaluation, predictions, data=data, listing=run.dataset.listed)


def _write_epochs(rows: list[dict[str, float]], best_epoch: int, evaluated: Evaluated, run: Run) -> None:
    """metrics.csv, curves.png and confusion.png."""
    from fruitcnn.training.history import write_history

    write_history(rows, run.folder / checkpoint.METRICS_BY_EPOCH)
    if not run.hooks.export:
        return
    from fruitcnn.training.plots import plot_confusion, plot_curves

    plot_curves(rows, run.folder / checkpoint.CURVES, best_epoch=best_epoch)
    shown = evaluated.metrics[VALIDATION]
    title = f"Validation: {shown['accuracy']:.1%} of {shown.images} right"
    plot_confusion(shown.confusion, run.dataset.labels, run.folder / checkpoint.CONFUSION, title=title)


def _print_results(evaluated: Evaluated, trained: Trained, parities: list[Parity], run: Run) -> None:
    best = run.config.train.best
    how = "the last" if best == "last" else f"best validation {best}"
    chosen = "" if trained.epoch is None else f", epoch {trained.epoch} ({how})"
    alone = "training pictures, cross-validated"
    titles = {VALIDATION: VALIDATION + chosen, TEST: TEST + chosen, HELD_OUT: alone}
    for split, title in titles.items():
        if split in evaluated.metrics:
            run.print_line(f"\n{title}:")
            for line in metrics_lines(evaluated.metrics[split]):
                run.print_line(printable(line))
    run.print_line("")
    for parity in parities:
        run.print_line(str(parity))
    run.print_line("")
    judgement = verdict(evaluated.metrics, chose_epoch=trained.epoch is not None and best != "last")
    commands = ["next:", *(f"  {line}" for line in next_commands(run.folder))] if run.hooks.export else []
    for line in [f"finished: {run.folder}", *judgement, *commands]:
        run.print_line(printable(line))
