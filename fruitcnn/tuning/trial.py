"""One trial: a training without its exports, and what it is worth."""

import json
from pathlib import Path

import optuna

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.errors import FruitcnnError
from fruitcnn.evaluation.predictions import HELD_OUT
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.run import Hooks
from fruitcnn.runs.stages import train_config
from fruitcnn.tuning.search import Search, origin
from fruitcnn.tuning.space import Space

_LOSS = "loss"
# Why a trial has failed, among what Optuna keeps of it.
PROBLEM = "problem"


class FailedTrialError(Exception):
    """Settings that can't be trained by, or come to nothing: the search goes on with others."""


def run_trial(trial: optuna.Trial, search: Search, space: Space) -> float:
    """Train by the trial's settings; the mean negative log-likelihood of pictures that were not learned from.

    Those are the validation split's; with folds, and of a recipe that fits a last layer alone, all training pictures,
    each by a network or layer without its fold. A trial that was begun before goes on from its last whole epoch.
    Raises optuna.TrialPruned, FailedTrialError, and InterruptedTrainingError on a signal.
    """
    settings = space.suggest(trial)
    folder = search.folder / trial_name(origin(trial.study, trial))
    try:
        config = search.config(settings)
        if not (folder / checkpoint.METRICS).exists():
            _train(trial, config, folder, search)
    except FruitcnnError as error:
        if error.exit_code > 128:
            raise
        trial.set_user_attr(PROBLEM, str(error))
        raise FailedTrialError(str(error)) from error
    metrics = json.loads((folder / checkpoint.METRICS).read_text(encoding="utf-8"))
    # It has done its work; that of a trial would be as large as the network.
    (folder / checkpoint.LAST).unlink(missing_ok=True)
    judged = metrics.get(HELD_OUT) if search.folds or config.head else metrics["validation"]
    return float(judged[_LOSS])


def _train(trial: optuna.Trial, config: Config, folder: Path, search: Search) -> None:
    # Of a process that was killed between the two.
    (folder / checkpoint.PREDICTIONS).unlink(missing_ok=True)
    train_config(
        config,
        Claim(name=folder.name, resume=(folder / checkpoint.LAST).exists(), root=search.folder),
        device=search.device,
        inputs=[search.space],
        print_line=lambda line: None,
        hooks=Hooks(lambda row: _report(trial, row), export=False),
    )


def trial_name(number: int) -> str:
    """What the folder of a trial's run is called."""
    return f"trial-{number:04}"


def _report(trial: optuna.Trial, row: dict[str, float]) -> None:
    epoch = int(row["epoch"])
    trial.report(row["validation_loss"], epoch)
    if trial.should_prune():
        raise optuna.TrialPruned(f"after epoch {epoch}")
