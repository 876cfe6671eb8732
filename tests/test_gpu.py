"""The training step on a GPU: walked through on tensors that only claim to be on one, and for real where there is one.

FakeTensorMode computes shapes and devices, no numbers. It raises FakeTensorDeviceMismatchError where devices mix, and
DataDependentOutputException where Python asks for a value, for which a GPU would be waited for. Its tensors can't go
backwards without a CUDA driver: the gradients are put in by hand.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn import Parameter

from fruitcnn import checkpoint, load_config, train
from fruitcnn.export import export_checkpoint
from fruitcnn.model import TorchForward, build_model
from fruitcnn.training import augmentation
from fruitcnn.training.augmentation import augment
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.weights import AveragedWeights, current_weights
from tests.conftest import TINY

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


def test_averaged_and_restored_weights_stay_on_the_device(mode: FakeTensorMode, module: ClassifierModule) -> None:
    with mode:
        averaged = AveragedWeights(0.9)
        averaged.average = [value.clone() for value in current_weights(module)]
        trained = [value.value for value in module.net.model.trainable_variables]
        for value in trained:
            value.grad = torch.zeros_like(value)
        torch.optim.AdamW(trained).step()
        averaged.on_train_batch_end(None, module)
        assert {value.device.type for value in [*averaged.average, *current_weights(module)]} == {"cuda"}


def test_the_walk_notices_mixed_devices_and_waiting(mode: FakeTensorMode, module: ClassifierModule) -> None:
    with mode:
        on_gpu = torch.zeros(8, 3, 32, 32, device=CUDA)
        with pytest.raises(Exception, match="device"):
            module.train().training_step((on_gpu, torch.zeros(8, 3)), 0)
        with pytest.raises(DataDependentOutputException):
            float(on_gpu.sum())


@pytest.mark.gpu
def test_a_run_on_the_gpu_ends_resumes_on_the_cpu_and_exports(drawn: Path, tmp_path: Path) -> None:
    def run(epochs: int, device: str, resume: bool) -> Path:
        config = load_config("quick", [*TINY, f"train.epochs={epochs}"], data=drawn)
        return train(config, root=tmp_path, name="run", device=device, resume=resume)

    folder = run(2, "gpu", False)
    assert {*checkpoint.FILES} <= {path.name for path in folder.iterdir()}
    export_checkpoint(folder, to=tmp_path / "again")
