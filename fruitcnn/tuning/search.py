"""A search: who creates the study, which trial comes next, and what becomes of the trials of processes that die."""

import contextlib
import dataclasses
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.study import Study
from optuna.trial import TrialState

from fruitcnn.config import Config
from fruitcnn.errors import ConfigError, UsageError
from fruitcnn.locks import held_when_free
from fruitcnn.signals import is_alive
from fruitcnn.tuning.space import Recipe, Space

# Seconds from one sign of life of a trial to the next, and after how many without one its process counts as dead.
_HEARTBEAT, _GRACE = 5, 60
# How often a trial whose process died is tried again: what kills each process that meets it does not go on for ever.
_RETRIES = 2
_PROCESS, _SETTINGS = "process", "settings"
# What people call two of the settings.
_SHOWN = {"overrides": "--set", "folds": "--folds"}
_RETRIED = "failed_trial"


@dataclasses.dataclass(frozen=True)
class Search:
    """What is searched for, where it is kept, and how many trials there shall be in all.

    folds: parts of the training pictures, near-duplicates in one, for cross-validation as the objective; 0: none.
    folder: of the trials' runs and the results.
    """

    recipe: Recipe
    space: Path
    trials: int
    storage: str
    name: str
    folds: int
    device: str
    folder: Path

    def read_space(self) -> Space:
        """Raises ConfigError."""
        return Space.read(self.space, self.recipe)

    def example(self) -> Config:
        """What some trial could train by. Raises ConfigError."""
        return self.config(next(iter(self.read_space().corners())))

    def config(self, settings: dict[str, object]) -> Config:
        """What a trial with these settings trains by. Raises ConfigError."""
        config = self.recipe.config(settings)
        if not self.folds:
            return config
        key = "head.folds" if config.head else "data.calibration_folds"
        return self.recipe.config({**settings, key: self.folds})


def create_study(search: Search) -> Study:
    """Create the study, or find the one that was begun with the same settings; by one process at a time.

    Raises UsageError where its storage can't be had, ConfigError where it was begun with other settings.
    """
    search.folder.mkdir(parents=True, exist_ok=True)
    with held(search.folder):
        try:
            study = optuna.create_study(
                storage=_storage(search.storage), study_name=search.name, direction="minimize", load_if_exists=True
            )
        except Exception as error:
            # SQLAlchemy and the drivers below it raise what they like.
            problem = f"can't be used ({str(error).splitlines()[0]})"
            raise UsageError(problem, value=search.storage, remedy="give one as sqlite:///study.db") from error
        settings = {
            "recipe": search.recipe.recipe,
            "overrides": list(search.recipe.overrides),
            "pictures": str(search.recipe.data.absolute()),
            "space": search.space.read_text(encoding="utf-8"),
            "folds": search.folds,
        }
        before = study.user_attrs.get(_SETTINGS)
        if before is None:
            study.set_user_attr(_SETTINGS, settings)
    changed = [] if before is None else [_SHOWN.get(key, key) for key in settings if before[key] != settings[key]]
    if changed:
        problem = f"study {search.name} was begun with another {' and '.join(changed)}"
        raise ConfigError(problem, value=search.storage, remedy="give the same, or another --name")
    return study


def load_study(search: Search) -> Study:
    """The study that another process has created."""
    pruner: BasePruner = MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    if "train.epochs" in search.read_space().distributions:
        # The same epoch of a shorter schedule is another one.
        pruner = NopPruner()
    return optuna.load_study(study_name=search.name, storage=_storage(search.storage), pruner=pruner)


def has_next(study: Study, search: Search) -> bool | None:
    """Whether a trial is to be begun; None: not now, but others are running, and may come to nothing.

    For who holds the search's folder.
    """
    with _quiet():
        fail_stale_trials(study)
    _requeue_dead(study)
    trials = study.get_trials(deepcopy=False)
    begun = sum(_RETRIED not in trial.system_attrs for trial in trials)
    states = {trial.state for trial in trials}
    if TrialState.WAITING in states or begun < search.trials:
        return True
    return None if TrialState.RUNNING in states else False


def next_sampler(study: Study, seed: int) -> TPESampler:
    """For the next trial: the same one whether those before it were this process', another's, or yesterday's."""
    with _quiet():
        return TPESampler(seed=seed + len(study.get_trials(deepcopy=False)), constant_liar=True)


def mark_own(trial: optuna.Trial) -> None:
    """Write down whose trial it is."""
    trial.set_user_attr(_PROCESS, f"{socket.gethostname()} {os.getpid()}")


def retry(study: Study, number: int) -> None:
    """A trial that was stopped waits for another process, which goes on where it stopped."""
    _retry()(study, study.get_trials()[number])


def _requeue_dead(study: Study) -> None:
    """So do those of processes of this machine that are gone; of others the heartbeat says so, after a while."""
    host, storage = socket.gethostname(), study._storage
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        owner, _, process = str(trial.user_attrs.get(_PROCESS, "")).partition(" ")
        is_dead = owner == host and not is_alive(int(process))
        if is_dead and storage.set_trial_state_values(trial._trial_id, TrialState.FAIL):
            _retry()(study, trial)


def origin(study: Study, trial: optuna.Trial) -> int:
    """The number of the trial, or of the one that it is another try of."""
    (found,) = (one for one in study.get_trials(deepcopy=False) if one.number == trial.number)
    return int(found.system_attrs.get(_RETRIED, trial.number))


def held(folder: Path) -> AbstractContextManager[None]:
    """Hold a folder as soon as no other process of the search does, which is soon: nothing is told of it."""
    return held_when_free(folder, tell=lambda error: None)


def _storage(url: str) -> RDBStorage:
    # What waits longer than that for a locked SQLite file waits for a process that hangs.
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with _quiet():
        return RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=_retry(),
        )


def _retry() -> RetryHeartbeatStaleTrialCallback:
    with _quiet():
        return RetryHeartbeatStaleTrialCallback(max_retry=_RETRIES, inherit_intermediate_values=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Heartbeats are called experimental since 2021; what is used of them is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
