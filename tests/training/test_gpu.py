"""Training on a GPU: on tensors that only claim to be on one, on a stand-in for one, and for real where there is one.

FakeTensorMode computes shapes and devices, no numbers. It raises DataDependentOutputException where Python asks for a
value, for which a GPU would be waited for. The stand-in computes (tests/training/elsewhere.py).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn import Parameter

from fruitcnn import checkpoint, load_config
from fruitcnn.export.exporter import export_checkpoint
from fruitcnn.model import TorchForward, build_model
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training import augmentation
from fruitcnn.training.augmentation import augment
from fruitcnn.training.module import ClassifierModule
from tests.conftest import REPOSITORY, TINY

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


def test_whole_runs_on_a_device_that_is_not_the_cpu() -> None:
    # In a process of its own, because torch counts its devices once; a real GPU is no part of it.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/training/elsewhere.py"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.gpu
@pytest.mark.parametrize(("recipe", "settings"), [*RECIPES, *(("quick", settings) for settings in MOVING.values())])
def test_every_run_on_a_gpu_ends_and_exports(
    recipe: str, settings: list[str], drawn: Path, finished: Path, tmp_path: Path
) -> None:
    settings = [setting.format(drawn=drawn, finished=finished) for setting in settings]
    folder = train_config(load_config(recipe, settings, data=drawn), Claim(root=tmp_path), device="gpu")
    assert {*checkpoint.FILES} - {*checkpoint.OF_EPOCHS} <= {path.name for path in folder.iterdir()}
    export_checkpoint(folder, to=tmp_path / "again")
