"""`fruitcnn tune`: the processes of a search, and what it leaves."""

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial

from fruitcnn.errors import FruitcnnError
from fruitcnn.runs.needs import check_needs
from fruitcnn.signals import end_with_parent
from fruitcnn.terminal import printable
from fruitcnn.tuning.outcome import trial_line, write_outcome
from fruitcnn.tuning.search import (
    Search,
    create_study,
    has_next,
    held,
    load_study,
    mark_own,
    next_sampler,
    retry,
)
from fruitcnn.tuning.trial import FailedTrialError, run_trial

_SPAWN = multiprocessing.get_context("spawn")
_PAUSE = 1.0


def tune(search: Search, *, workers: int) -> None:
    """Run what is missing of the trials, by so many processes, and write best.yaml, trials.csv and plots.

    Raises ConfigError for a space that the recipe does not allow, UsageError for a storage that can't be used,
    InterruptedTrainingError on a signal: the same command goes on.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    check_needs(search.example())
    study = create_study(search)
    if workers == 1:
        work(search)
    else:
        _work_together(search, workers)
    for line in write_outcome(study, search):
        print(printable(line))


def work(search: Search) -> None:
    """Run one trial after the other until there are enough."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, space, seed = load_study(search), search.read_space(), search.example().seed

    def run(trial: optuna.Trial, begun: Callable[[], None]) -> float:
        mark_own(trial)
        begun()
        return run_trial(trial, search, space)

    while True:
        # Held until the trial is begun: so many as were asked for are begun, and no more.
        with contextlib.ExitStack() as hold:
            hold.enter_context(held(search.folder))
            next_one = has_next(study, search)
            if next_one:
                study.sampler = next_sampler(study, seed)
                try:
                    study.optimize(
                        lambda trial: run(trial, hold.close),
                        n_trials=1,
                        catch=(FailedTrialError,),
                        callbacks=[_print_trial],
                    )
                except FruitcnnError:
                    retry(study, study.get_trials(deepcopy=False)[-1].number)
                    raise
        if next_one is False:
            return
        if next_one is None:
            time.sleep(_PAUSE)


def _work_together(search: Search, workers: int) -> None:
    processes = [_started(search) for _ in range(workers)]
    while processes:
        wait([process.sentinel for process in processes])
        for process in [one for one in processes if one.exitcode is not None]:
            processes.remove(process)
            if process.exitcode and process.exitcode < 0:
                print(f"fruitcnn: a process was killed by signal {-process.exitcode}; another goes on", file=sys.stderr)
                processes.append(_started(search))
            elif process.exitcode:
                raise FruitcnnError(
                    "a process of the search failed", value=search.folder, remedy="see its message above"
                )


def _started(search: Search) -> SpawnProcess:
    process = _SPAWN.Process(target=_work_alone, args=(search,))
    process.start()
    return process


def _work_alone(search: Search) -> None:
    end_with_parent()
    try:
        work(search)
    except FruitcnnError as error:
        print(f"fruitcnn: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def _print_trial(study: Study, trial: FrozenTrial) -> None:
    print(printable(trial_line(trial)), flush=True)
