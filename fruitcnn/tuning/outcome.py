"""What a search leaves: best.yaml, which `train` runs as it stands, a table of the trials, and Optuna's plot."""

import collections
import csv
import io
import json
import shlex
import warnings
from pathlib import Path

from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from fruitcnn.outputs import write_text, written_whole
from fruitcnn.tuning.search import Search
from fruitcnn.tuning.trial import PROBLEM, trial_name

BEST, TRIALS, HISTORY = "best.yaml", "trials.csv", "history.png"
# Trials that are printed.
_SHOWN = 10


def write_outcome(study: Study, search: Search) -> list[str]:
    """Write the files into the search's folder; what is to be said of them, a line each."""
    trials = study.get_trials()
    write_text(search.folder / TRIALS, _table(trials, search))
    done = sorted((trial for trial in trials if trial.state is TrialState.COMPLETE), key=_value)
    counts = collections.Counter(trial.state.name.lower() for trial in trials)
    counted = ", ".join(f"{count} {state}" for state, count in counts.items())
    lines = ["", f"{search.name}: {counted}", *map(trial_line, done[:_SHOWN])]
    if not done:
        return [*lines, "no trial came to an end: look at the trials' errors, or at the space"]
    best = search.folder / BEST
    write_text(best, search.recipe.config(search.read_space().settings(done[0].params)).to_yaml())
    _plot(study, search.folder / HISTORY)
    return [*lines, f"best: {best}", "next:", f"  fruitcnn train -r {shlex.quote(str(best))}"]


def trial_line(trial: FrozenTrial) -> str:
    """A trial in one line: number, what it is worth, its settings."""
    value = f"{trial.value:.4f}" if trial.state is TrialState.COMPLETE else trial.state.name.lower()
    settings = ", ".join(f"{key}={_shown(value)}" for key, value in trial.params.items())
    return "  ".join([trial_name(trial.number), value, settings, trial.user_attrs.get(PROBLEM, "")]).rstrip()


def _table(trials: list[FrozenTrial], search: Search) -> str:
    """A row a trial, in their order; the value is empty where there is none."""
    keys = list(search.read_space().distributions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "loss", "last_epoch", "seconds", *keys, PROBLEM])
    for trial in trials:
        seconds = "" if trial.duration is None else f"{trial.duration.total_seconds():.1f}"
        value = trial.value if trial.state is TrialState.COMPLETE else ""
        problem = trial.user_attrs.get(PROBLEM, "")
        settings = [_shown(trial.params[key]) if key in trial.params else "" for key in keys]
        writer.writerow(
            [trial.number, trial.state.name.lower(), value, trial.last_step or "", seconds, *settings, problem]
        )
    return text.getvalue()


def _plot(study: Study, file: Path) -> None:
    """How the best grew, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
        from optuna.visualization.matplotlib import plot_optimization_history
    except ImportError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        axes = plot_optimization_history(study, target_name="loss")
    figure = axes.figure
    assert isinstance(figure, Figure)
    with written_whole(file) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    # Choices are JSON.
    return str(json.loads(value)) if isinstance(value, str) else str(value)
