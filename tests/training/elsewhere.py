"""Whole trainings on a device that is not the CPU: tests that test_gpu.py runs in a process of their own.

The device is the one of tests/training/pretend.py, which computes, and raises where devices mix.
"""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy

from fruitcnn import Identifier, checkpoint, load_config
from fruitcnn.evaluation.predictions import Predictions
from fruitcnn.model import TorchForward, build_model
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training.interruption import InterruptedTrainingError
from fruitcnn.training.teacher import Teacher
from tests.conftest import skip_export
from tests.predictions import read_predictions
from tests.training.pretend import pretend_device
from tests.training.test_gpu import MOVING, RECIPES


class _Accelerator(CPUAccelerator):
    def setup_device(self, device: torch.device) -> None:
        """It is there already."""


class _Stop(Callback):
    """SIGTERM in the second epoch from here."""

    begun = 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.begun += 1
        if self.begun == 2:
            os.kill(os.getpid(), signal.SIGTERM)


Train = Callable[..., Path]


@pytest.fixture
def train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Train]:
    """`train` on "gpu", which is the pretended device here, or on "cpu"; stop: by SIGTERM after one more epoch."""
    with pretend_device() as device:
        real = lightning.Trainer

        def run(kind: str, recipe: str, settings: list[str], data: Path, *, stop: bool = False, **claim: str) -> Path:
            chosen = device if kind == "gpu" else torch.device("cpu")

            def trainer(callbacks: list[Callback], **options: object) -> lightning.Trainer:
                if kind == "gpu":
                    options |= {"strategy": SingleDeviceStrategy(device, accelerator=_Accelerator())}
                    del options["accelerator"], options["devices"]
                return real(callbacks=[*callbacks, *([_Stop()] if stop else [])], **options)

            config = load_config(recipe, settings, data=data)
            with monkeypatch.context() as patch:
                patch.setattr("fruitcnn.training.stages.training_device", lambda wanted: chosen)
                patch.setattr("fruitcnn.training.fit.lightning.Trainer", trainer)
                if kind == "cpu":
                    # Only to compare with.
                    skip_export(patch)
                return train_config(config, Claim(root=tmp_path / "runs", **claim), print_line=lambda line: None)

        yield run


def answers(run: Path) -> Predictions:
    return read_predictions(run / checkpoint.PREDICTIONS)


@pytest.mark.parametrize("settings", MOVING.values(), ids=MOVING)
def test_a_run_that_moves_between_devices_is_the_run_of_the_cpu(
    train_on: Train, settings: list[str], drawn: Path
) -> None:
    settings = [setting.format(drawn=drawn) for setting in settings]
    straight = train_on("cpu", "quick", settings, drawn, name="straight")
    for done, kind, resume in ((1, "gpu", False), (2, "cpu", True)):
        with pytest.raises(InterruptedTrainingError, match=f"stopped after {done} of"):
            train_on(kind, "quick", settings, drawn, name="moved", resume=resume, stop=True)
    moved = train_on("gpu", "quick", settings, drawn, name="moved", resume=True)
    assert answers(moved) == answers(straight)
    with (moved / checkpoint.METRICS_BY_EPOCH).open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


@pytest.mark.parametrize(("recipe", "settings"), RECIPES, ids=[recipe for recipe, _ in RECIPES])
def test_every_recipe_answers_alike_wherever_it_trains(
    train_on: Train, recipe: str, settings: list[str], drawn: Path, finished: Path
) -> None:
    settings = [setting.format(finished=finished) for setting in settings]
    here, there = (answers(train_on(kind, recipe, settings, drawn, name=kind)) for kind in ("cpu", "gpu"))
    (probabilities, targets), (others, _) = here.readable().arrays(), there.readable().arrays()
    assert len(targets) == 48 and abs(probabilities - others).max() < 1e-5


def test_the_penalty_is_computed_where_the_weights_are() -> None:
    with pretend_device() as device:
        net = TorchForward(build_model("simple_cnn", classes=3, size=32, dropout=0.0)).to(device)
        penalty = net.penalty()
    assert isinstance(penalty, torch.Tensor) and penalty.device == device


def test_a_teacher_answers_where_the_views_are(finished: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = Identifier.load(finished).probabilities(pixels)
    with pretend_device() as device:
        teacher = Teacher(finished, labels=["grape", "pineapple", "strawberry"], device=device)
        found = teacher.log_probabilities(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().to(device))
        assert found.device == device and np.abs(found.exp().cpu().numpy() - expected).max() < 1e-4
