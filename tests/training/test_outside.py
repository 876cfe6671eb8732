"""Pictures of no class in gradient training: what the network learns of them, and that the classes do not suffer."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from fruitcnn import checkpoint, load_config
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError
from fruitcnn.image import load_pixels
from fruitcnn.model import TorchForward, build_model, features_model, keras
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training.data import PixelData
from fruitcnn.training.module import ClassifierModule, gate_loss
from tests.conftest import TINY

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def other_things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures of noise in two folders, and a broken one."""
    folder = tmp_path_factory.mktemp("outside")
    rng = np.random.default_rng(0)
    for number in range(7):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64)).save(path)
    (folder / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    return folder


def config_of(drawn: Path, other_things: Path, *more: str) -> Config:
    return load_config("quick", [*TINY, f"data.outside={other_things}", *more], data=drawn)


def dataset_of(config: Config) -> Dataset:
    return scan(
        Path(config.data.path or ""), sizes=[32], outside=Path(config.data.outside or "")
    )  # fmt: skip


def test_pictures_of_no_class_are_read_with_the_others_and_belong_to_none(drawn: Path, other_things: Path) -> None:
    data = dataset_of(config_of(drawn, other_things))
    without = scan(drawn, sizes=[32])
    assert data.pictures == without.pictures and data.labels == without.labels and without.outside_pixels(32) is None
    pixels = data.outside_pixels(32)
    assert pixels is not None and len(pixels) == 7
    for record, row in zip(data.outside, pixels, strict=True):
        assert np.array_equal(row, load_pixels(other_things / record.file, 32))
    assert [line for line in data.report if "broken.png" in line]
    with pytest.raises(DatasetError, match=r"mend data\.outside"):
        scan(drawn, sizes=[32], outside=other_things / "nothing")


def test_a_batch_ends_with_views_of_no_class(drawn: Path, other_things: Path) -> None:
    """Two beside eight; seven are used up after three batches, and begin anew, shuffled."""
    config = config_of(drawn, other_things, "augment={}", "train.mixup=0.5")
    dataset = dataset_of(config)
    data = PixelData(dataset, config, CPU, with_outside=True)
    data.trainer = SimpleNamespace(training=True)
    known = {row.transpose(2, 0, 1).tobytes(): number for number, row in enumerate(dataset.outside_pixels(32)[:])}
    seen = []
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == 5
    for pixels, targets, others in batches:
        assert len(pixels) == len(targets) == 8 and len(others) == 2
        seen += [known[np.ascontiguousarray(other).tobytes()] for other in others.numpy()]
        views, soft_targets = data.on_after_batch_transfer((pixels, targets, others), 0)
        assert views.shape == (10, 3, 32, 32) and soft_targets.shape == (8, 3)
        assert torch.allclose(views[8:], others.float(), atol=0.01), "not mixed"
    assert sorted(seen[:6]) == sorted(set(seen[:6])) and seen[:6] != sorted(seen[:6])
    assert all(len(batch) == 2 for batch in PixelData(dataset, config, CPU).train_dataloader())


def module_of(config: Config) -> ClassifierModule:
    keras.utils.set_random_seed(0)
    net = TorchForward(features_model(build_model("fruit_net", classes=3, size=32, dropout=0.0)))
    gate = nn.Linear(net.model.outputs[0].shape[-1], 1)
    module = ClassifierModule(net, config.train, class_counts=[1, 1, 1], seed=0, gate=gate)
    module.log = lambda *values, **options: None  # it asks for a Trainer
    return module.train()


def test_the_loss_adds_the_gate_and_takes_the_classes_of_members_only() -> None:
    config = load_config("quick", ["train.label_smoothing=0.1"])
    module = module_of(config)
    views = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    soft_targets = functional.one_hot(torch.arange(8) % 3, 3).float()
    loss = module.training_step((views, soft_targets), 0).detach()
    features, logits = module.net(views)
    scores = (features @ module.gate.weight.T + module.gate.bias)[:, 0].detach().double().numpy()
    gate = np.log1p(np.exp(-scores[:8])).mean() + np.log1p(np.exp(scores[8:])).mean()
    classes = functional.cross_entropy(logits[:8], soft_targets, label_smoothing=0.1)
    assert float(loss) == pytest.approx(float(classes.detach()) + 0.3 * gate, rel=1e-4)


def test_the_network_learns_of_the_gate_not_the_unit_alone() -> None:
    module, slopes = module_of(load_config("quick")), []
    views = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    for factor in (1.0, -1.0):
        with torch.no_grad():
            module.gate.weight.mul_(factor)
        module.zero_grad()
        module.training_step((views, torch.full((8, 3), 1 / 3)), 0).backward()
        slopes.append(module.net.weights[0].grad.clone())
    assert float((slopes[0] - slopes[1]).abs().max()) > 1e-3 * float(slopes[0].abs().max())


def test_the_gate_learns_with_the_last_layer() -> None:
    config = load_config("quick", ["train.layer_decay=0.5", "train.learning_rate=1.0"])
    module = module_of(config)
    module._trainer = SimpleNamespace(estimated_stepping_batches=10)
    groups = module.configure_optimizers()["optimizer"].param_groups
    rate = {id(value): group["initial_lr"] for group in groups for value in group["params"]}
    assert rate[id(module.gate.weight)] == rate[id(module.gate.bias)] == max(rate.values())
    assert min(rate.values()) < max(rate.values())


@pytest.mark.parametrize(("scores", "wanted"), [([0.0] * 5, 2 * math.log(2)), ([9.0, 9.0, 9.0, -9.0, -9.0], 0.0)])
def test_the_gate_loss_weighs_both_sides_alike(scores: list[float], wanted: float) -> None:
    assert float(gate_loss(torch.tensor(scores), 3)) == pytest.approx(wanted, abs=1e-3)


def test_a_run_learns_its_gate_and_keeps_it_to_be_resumed(drawn: Path, other_things: Path, tmp_path: Path) -> None:
    run = train_config(config_of(drawn, other_things), Claim(root=tmp_path), device="cpu", print_line=lambda line: None)
    state = torch.load(run / checkpoint.LAST, weights_only=True)["state_dict"]
    gate = state["gate.weight"]
    # Without other things all weights would rise alike.
    assert gate.shape == (1, 256) and 1e-4 < float(gate.abs().max()) > 2 * float(gate.mean())
    names = [output["name"] for output in json.loads((run / checkpoint.CARD).read_text())["outputs"]]
    assert names == ["probabilities", "familiarity", "evidence"], "the unit itself goes with the training"
