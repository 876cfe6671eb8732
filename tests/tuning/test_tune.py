"""`fruitcnn tune` as a process: what it tries, what it leaves, and what becomes of it when processes die."""

import csv
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml

from fruitcnn import ConfigError, UsageError, load_config
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.tuning.outcome import trial_line
from fruitcnn.tuning.search import Search, create_study, has_next, mark_own
from fruitcnn.tuning.space import Recipe, Space
from fruitcnn.tuning.trial import FailedTrialError, run_trial
from fruitcnn.tuning.tune import tune
from tests.conftest import Run

FEATURES = "head.penalty: {low: 0.1, high: 100.0, log: true}\nhead.mirrored: [false, true]\n"
QUICK = "train.learning_rate: {low: 0.001, high: 0.01, log: true}\n"
SMALL = ("--set", "data.size=64")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")


@pytest.fixture
def space(tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text(FEATURES)
    return tmp_path / "space.yaml"


def search_of(drawn: Path, space: Path, trials: int, *, name: str = "features", folds: int = 0) -> Search:
    folder = space.parent / "tuning" / name
    recipe = Recipe("features", ("data.size=64",), drawn)
    return Search(recipe, space, trials, f"sqlite:///{folder / 'study.db'}", name, folds, "cpu", folder)


def test_a_search_leaves_its_best_recipe_and_goes_on(
    cli: Run, drawn: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is the same, in one go or in two, by the command or in another process."""
    monkeypatch.chdir(tmp_path)
    first = cli("tune", drawn, "--space", space, "--trials", 1, *SMALL)
    assert first.returncode == 0 and first.stderr == "", first.stderr
    folder = tmp_path / "tuning" / "features"
    assert [row["state"] for row in rows(folder)] == ["complete"]
    tune(search_of(drawn, space, 3), workers=1)
    found = rows(folder)
    assert [(row["trial"], row["state"]) for row in found] == [(str(number), "complete") for number in range(3)]
    assert len({row["head.penalty"] for row in found}) == 3
    best = min(found, key=lambda row: float(row["loss"]))
    settings = yaml.safe_load((folder / "best.yaml").read_text())
    assert f"{settings['head']['penalty']:.4g}" == best["head.penalty"]
    assert settings["head"]["mirrored"] == (best["head.mirrored"] == "True") and settings["data"]["size"] == 64
    assert f"{study(folder).best_value}" == best["loss"] and (folder / "history.png").stat().st_size > 1000
    trial = folder / f"trial-000{best['trial']}"
    assert {"config.yaml", "metrics.json", "predictions.csv", "split.csv"} == {path.name for path in trial.iterdir()}

    config = load_config(folder / "best.yaml")
    trained = train_config(config, Claim(name="best"), print_line=lambda line: None)
    metrics = yaml.safe_load((trained / "metrics.json").read_text())
    assert metrics["held_out"]["loss"] == float(best["loss"]), "as it stands"

    tune(search_of(drawn, space, 3, name="whole"), workers=1)
    kept = ("trial", "loss", "head.penalty", "head.mirrored")
    assert [[row[key] for key in kept] for row in rows(tmp_path / "tuning/whole")] == [
        [row[key] for key in kept] for row in found
    ]

    with pytest.raises(
        ConfigError, match="study features was begun with another --folds; give the same, or another --name"
    ):
        tune(search_of(drawn, space, 3, folds=3), workers=1)


def kill_one(folder: Path) -> optuna.trial.FrozenTrial | None:
    """A trial at work, whose process is killed; it is held first, lest it ends between the look and the blow."""
    try:
        running = [trial for trial in study(folder).trials if trial.state == optuna.trial.TrialState.RUNNING]
    except Exception:
        return None
    victim = next((trial for trial in running if "process" in trial.user_attrs), None)
    if victim is None:
        return None
    process = int(victim.user_attrs["process"].split()[1])
    os.kill(process, signal.SIGSTOP)
    try:
        is_at_work = study(folder).trials[victim.number].state == optuna.trial.TrialState.RUNNING
    except Exception:
        # It holds the study's lock.
        is_at_work = False
    os.kill(process, signal.SIGKILL if is_at_work else signal.SIGCONT)
    return victim if is_at_work else None


def test_processes_share_the_trials_and_a_killed_one_s_is_retried(drawn: Path, space: Path, tmp_path: Path) -> None:
    """Each trial is done once, whatever dies."""
    words = ["tune", str(drawn), "--space", str(space), "--trials", "4", "--workers", "2", *SMALL]
    command = [sys.executable, "-m", "fruitcnn", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "tuning" / "features"
    victim = None
    end = time.monotonic() + 120
    while victim is None and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
        victim = kill_one(folder)
    said, errors = process.communicate(timeout=240)
    assert process.returncode == 0 and "was killed by signal 9; another goes on" in errors, errors
    assert victim is not None
    trials = study(folder).trials
    retried = [trial for trial in trials if trial.system_attrs.get("failed_trial") == victim.number]
    assert trials[victim.number].state == optuna.trial.TrialState.FAIL and len(retried) == 1
    # Killed, perhaps, before all of them were drawn.
    assert trials[victim.number].params.items() <= retried[0].params.items()
    done = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(done) == 4 and len(trials) == 5
    assert len(list(folder.glob("trial-*/metrics.json"))) == 4 and "4 complete" in said


@pytest.mark.long
def test_a_killed_trial_with_epochs_is_resumed_and_bad_ones_are_pruned(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(QUICK)
    words = ["tune", str(drawn), "-r", "quick", "--space", "space.yaml", "--trials", "4", "--workers", "2"]
    words += ["--set", "data.size=32", "--set", "train.epochs=3", "--set", "train.batch_size=8", "--device", "cpu"]
    command = [sys.executable, "-m", "fruitcnn", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "tuning" / "quick"
    while not (begun := [*folder.glob("trial-*/last.ckpt")]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    number = int(begun[0].parent.name.removeprefix("trial-"))
    owner = study(folder).trials[number].user_attrs["process"]
    os.kill(int(owner.split()[1]), signal.SIGKILL)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    trials = study(folder).trials
    (again,) = (trial for trial in trials if trial.system_attrs.get("failed_trial") == number)
    assert again.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    with (begun[0].parent / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials) == 4


def test_a_stopped_search_goes_on_with_the_same_trial(cli: Run, drawn: Path, space: Path, tmp_path: Path) -> None:
    words = ["tune", str(drawn), "--space", str(space), "--trials", "2", *SMALL]
    command = [sys.executable, "-m", "fruitcnn", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    folder = tmp_path / "tuning" / "features"
    while not (folder / "trial-0000").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    states = [trial.state.name for trial in study(folder).trials]
    assert states in (["FAIL", "COMPLETE", "COMPLETE"], ["COMPLETE", "COMPLETE"])


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_of_a_process_that_is_gone_waits_for_another(drawn: Path, space: Path) -> None:
    search = search_of(drawn, space, 1)
    found = create_study(search)
    trial = found.ask()
    mark_own(trial)
    assert has_next(found, search) is None, "it lives, and there are no more"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    trial.set_user_attr("process", f"{socket.gethostname()} {gone.pid}")
    assert has_next(found, search)
    assert [trial.state.name for trial in found.trials] == ["FAIL", "WAITING"]


def test_settings_that_do_not_go_together_fail_alone(drawn: Path, tmp_path: Path) -> None:
    """Each of them is allowed; a search goes on after such a trial, and its row says why."""
    (tmp_path / "space.yaml").write_text("data.calibration_folds: [0, 2]\ndata.calibration_share: [0.0, 0.2]\n")
    recipe = Recipe("quick", (), drawn)
    space = Space.read(tmp_path / "space.yaml", recipe)
    search = Search(recipe, tmp_path / "space.yaml", 1, "", "quick", 0, "cpu", tmp_path)
    found = optuna.create_study()
    found.enqueue_trial({"data.calibration_folds": "2", "data.calibration_share": "0.2"})
    found.optimize(lambda trial: run_trial(trial, search, space), n_trials=1, catch=(FailedTrialError,))
    (trial,) = found.trials
    assert trial.state == optuna.trial.TrialState.FAIL
    assert trial_line(trial).startswith("trial-0000  fail  data.calibration_folds=2, data.calibration_share=0.2  ")
    assert trial_line(trial).endswith(
        "  data.calibration_folds=2, data.calibration_share=0.2: "
        "data.calibration_folds needs no data.calibration_share: set that to 0; mend the value"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("head.penaltty: {low: 1, high: 2}", "unknown key 'head.penaltty'; did you mean 'head.penalty'?"),
        ("head: [1, 2]", "unknown key 'head'; did you mean"),
        ("seed: {low: 0, high: 9}", "seed decides by which pictures a trial is judged"),
        ("data.path: [a, b]", "data.path decides by which pictures"),
        ("head.penalty: {low: 2, high: 1}", "head.penalty: "),
        ("head.penalty: {low: 1}", "head.penalty: is neither a range nor choices"),
        ("head.penalty: {low: 1, high: 2, lag: true}", "head.penalty: is neither a range nor choices"),
        ("head.penalty: {low: a, high: 2}", "head.penalty: "),
        ("head.penalty: 5", "is neither a range nor choices"),
        ("head.penalty: []", "is neither a range nor choices"),
        ("head.penalty: {low: -1.0, high: 2.0}", "head.penalty=-1.0: must be more than 0"),
        ("head.folds: {low: 2.0, high: 4.0}", "head.folds=2.74: must be a whole number"),
        ("head.mirrored: [true, 7]", "head.mirrored=7: must be true or false"),
        ("train.learning_rate: {low: 0.1, high: 0.2}", "have no meaning where only the head is fitted"),
        ("- 1", "holds no settings"),
        ("", "holds no settings"),
        ("{", "can't be read as YAML"),
    ],
)
def test_a_space_is_checked_before_anything_is_trained(drawn: Path, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Space.read(tmp_path / "space.yaml", Recipe("features", (), drawn))
    assert words in str(caught.value)


def test_what_optuna_suggests_is_what_a_recipe_says(drawn: Path, tmp_path: Path) -> None:
    """Small numbers, lists and texts come through as they are."""
    (tmp_path / "space.yaml").write_text(
        "train.learning_rate: {low: 1.0e-9, high: 2.0e-9}\naugment.zoom: [[0.7, 1.0], [0.9, 1.0]]\n"
        "train.epochs: {low: 2, high: 8, step: 3}\ntrain.optimizer: [adam]\naugment.flip: [true]\n"
    )
    recipe = Recipe("quick", ("data.size=32",), drawn)
    space = Space.read(tmp_path / "space.yaml", recipe)
    assert recipe.config({"model.weights": "no"}).model.weights == "no"
    found = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        settings = space.suggest(found.ask())
        config = recipe.config(settings)
        assert 1e-9 <= settings["train.learning_rate"] == config.train.learning_rate <= 2e-9
        assert config.augment.zoom in ((0.7, 1.0), (0.9, 1.0)) and config.augment.flip
        assert config.train.epochs in (2, 5, 8) and config.train.optimizer == "adam" and config.data.size == 32
        (tmp_path / "best.yaml").write_text(config.to_yaml())
        assert load_config(tmp_path / "best.yaml").to_yaml() == config.to_yaml()


def test_a_storage_that_can_not_be_had_is_said(cli: Run, drawn: Path, space: Path) -> None:
    done = cli("tune", drawn, "--space", space, "--storage", "sqlite:////nonexistent/study.db", *SMALL)
    assert done.returncode == 2 and "/study.db: can't be used (" in done.stderr, done.stderr
    with pytest.raises(UsageError, match="nonsense: can't be used"):
        create_study(dataclasses.replace(search_of(drawn, space, 1), storage="nonsense"))
