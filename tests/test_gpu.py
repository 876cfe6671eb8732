"""Training on a GPU: whole runs on a device that is not the CPU, and for real where there is one.

tests/pretend.py is that device: it computes, and raises where devices mix. One step is walked on fake CUDA tensors too,
without numbers: FakeTensorMode raises DataDependentOutputException where Python asks for a value, for which a GPU would
be waited for.
"""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn import Parameter

from fruitcnn import checkpoint, load_config, train
from fruitcnn.evaluation.predictions import Predictions, read_predictions
from fruitcnn.export import export_checkpoint
from fruitcnn.model import TorchForward, build_model
from fruitcnn.training import augmentation
from fruitcnn.training.augmentation import augment
from fruitcnn.training.interruption import InterruptedTrainingError
from fruitcnn.training.module import ClassifierModule
from tests.conftest import TINY
from tests.pretend import pretend_device

CUDA = torch.device("cuda")
CONFIG = load_config("fruit_net", ["data.size=32", "model.dropout=0.2"])


@pytest.fixture
def mode() -> Iterator[FakeTensorMode]:
    """Inside it, every tensor that is made is a fake one."""
    augmentation._constants.cache_clear()
    yield FakeTensorMode()
    augmentation._constants.cache_clear()


@pytest.fixture
def module(mode: FakeTensorMode) -> ClassifierModule:
    """A module with its weights and buffers, made for real, as fake ones on a GPU."""
    model = build_model("fruit_net", classes=3, size=32, dropout=0.2)
    module = ClassifierModule(TorchForward(model), CONFIG.train, class_counts=[1, 2, 3], seed=0)
    module.log = lambda *values, **options: None  # it asks for a Trainer
    with mode:
        for variable in model.variables:
            moved = mode.from_tensor(variable._value).detach().to(CUDA)
            variable._value = Parameter(moved, requires_grad=variable._value.requires_grad)
        for layer in model._flatten_layers():
            layer._track_variables()
        module.net = TorchForward(model)
        module.class_weight = mode.from_tensor(module.class_weight).to(CUDA)
        for metric in (module.accuracy, module.validation_loss, module.validation_accuracy):
            for name in metric._defaults:
                setattr(metric, name, mode.from_tensor(getattr(metric, name)).to(CUDA))
    return module


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
def test_a_step_stays_on_the_device_and_never_waits_for_it(mode: FakeTensorMode, module: ClassifierModule) -> None:
    with mode:
        pixels = torch.zeros(8, 3, 48, 48, dtype=torch.uint8, device=CUDA)
        views = augment(pixels, CONFIG.augment, size=32)
        with torch.autocast("cuda", torch.bfloat16):
            loss = module.train().training_step((views, torch.zeros(8, 3, device=CUDA)), 0)
        assert (views.device.type, tuple(views.shape)) == ("cuda", (8, 3, 32, 32))
        assert (loss.device.type, loss.dtype, loss.requires_grad) == ("cuda", torch.float32, True)
        with torch.no_grad():
            module.eval().validation_step((views, torch.zeros(8, dtype=torch.int64, device=CUDA)), 0)


def test_the_walk_notices_mixed_devices_and_waiting(mode: FakeTensorMode, module: ClassifierModule) -> None:
    with mode:
        on_gpu = torch.zeros(8, 3, 32, 32, device=CUDA)
        with pytest.raises(Exception, match="device"):
            module.train().training_step((on_gpu, torch.zeros(8, 3)), 0)
        with pytest.raises(DataDependentOutputException):
            float(on_gpu.sum())


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

        def run(
            where: str, recipe: str, settings: list[str], data: Path, *, stop: bool = False, **options: str
        ) -> Path:
            chosen = device if where == "gpu" else torch.device("cpu")

            def trainer(callbacks: list[Callback], **options: object) -> lightning.Trainer:
                if where == "gpu":
                    options |= {"strategy": SingleDeviceStrategy(device, accelerator=_Accelerator())}
                    del options["accelerator"], options["devices"]
                return real(callbacks=[*callbacks, *([_Stop()] if stop else [])], **options)

            monkeypatch.setattr("fruitcnn.training.run.training_device", lambda wanted: chosen)
            monkeypatch.setattr("fruitcnn.training.fit.lightning.Trainer", trainer)
            config = load_config(recipe, settings, data=data)
            return train(config, root=tmp_path / "runs", print_line=lambda line: None, **options)

        yield run


def answers(run: Path) -> Predictions:
    return read_predictions(run / checkpoint.PREDICTIONS)


# Whatever holds tensors of its own: dropout, mixing, cutout, the average, the gate, folds, a layer that Keras runs.
STATEFUL = [*TINY, "train.epochs=3", "train.mixup=0.2", "train.cutmix=1.0", "model.dropout=0.3", "augment.cutout=0.5"]
MOVING = {
    "fruit_net": [*STATEFUL, "train.ema=0.9", "data.outside={drawn}/grape", "data.calibration_folds=2"],
    "foreign": [*STATEFUL, "model.architecture=tests.networks:small", "train.start_share=0.5"],
}
SMALL = ["model.architecture=fruit_net", "model.weights=none", "data.size=32"]
RECIPES = [
    ("features", SMALL),
    ("transfer", [*SMALL, "train.epochs=1", "train.view_size=32", "train.freeze=stage1", "data.training_size=48"]),
    ("quick", [*SMALL, "train.epochs=2", "train.teacher={finished}"]),
]


@pytest.mark.parametrize("settings", MOVING.values(), ids=MOVING)
def test_a_run_that_moves_between_devices_is_the_run_of_the_cpu(
    train_on: Train, settings: list[str], drawn: Path
) -> None:
    settings = [setting.format(drawn=drawn) for setting in settings]
    straight = train_on("cpu", "quick", settings, drawn, name="straight")
    for done, where, resume in ((1, "gpu", False), (2, "cpu", True)):
        with pytest.raises(InterruptedTrainingError, match=f"stopped after {done} of"):
            train_on(where, "quick", settings, drawn, name="moved", resume=resume, stop=True)
    moved = train_on("gpu", "quick", settings, drawn, name="moved", resume=True)
    assert answers(moved) == answers(straight)
    with (moved / checkpoint.METRICS_BY_EPOCH).open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


@pytest.mark.parametrize(("recipe", "settings"), RECIPES, ids=[recipe for recipe, _ in RECIPES])
def test_every_recipe_answers_alike_wherever_it_trains(
    train_on: Train, recipe: str, settings: list[str], drawn: Path, finished: Path
) -> None:
    settings = [setting.format(finished=finished) for setting in settings]
    here, there = (answers(train_on(where, recipe, settings, drawn, name=where)) for where in ("cpu", "gpu"))
    (shares, targets), (others, _) = here.readable().arrays(), there.readable().arrays()
    assert len(targets) == 48 and abs(shares - others).max() < 1e-5


def test_the_penalty_is_computed_where_the_weights_are() -> None:
    with pretend_device() as device:
        net = TorchForward(build_model("simple_cnn", classes=3, size=32, dropout=0.0)).to(device)
        penalty = net.penalty()
    assert isinstance(penalty, torch.Tensor) and penalty.device == device


@pytest.mark.gpu
@pytest.mark.parametrize(("recipe", "settings"), [*RECIPES, *(("quick", settings) for settings in MOVING.values())])
def test_every_run_on_a_gpu_ends_and_exports(
    recipe: str, settings: list[str], drawn: Path, finished: Path, tmp_path: Path
) -> None:
    settings = [setting.format(drawn=drawn, finished=finished) for setting in settings]
    folder = train(load_config(recipe, settings, data=drawn), root=tmp_path, device="gpu")
    assert {*checkpoint.FILES} - {*checkpoint.OF_EPOCHS} <= {path.name for path in folder.iterdir()}
    export_checkpoint(folder, to=tmp_path / "again")
