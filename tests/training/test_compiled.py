"""A compiled step is the step: the same weights, from one graph."""

from pathlib import Path

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from fruitcnn import load_config
from fruitcnn.errors import UsageError
from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.stages import train_config
from fruitcnn.training.module import COMPILED, ClassifierModule
from tests.conftest import TINY, Run

SIZE, STEPS = 32, 3


def trained(compiled: str) -> tuple[ClassifierModule, list[torch.Tensor]]:
    """A module after three steps, and its weights, moving statistics included."""
    keras.utils.set_random_seed(0)
    net = TorchForward(build_model("fruit_net", classes=3, size=SIZE, dropout=0.0))
    settings = ["train.optimizer=adam", "train.learning_rate=0.001", f"train.compile={compiled}"]
    module = ClassifierModule(net, load_config("quick", settings).train, class_counts=[1, 1, 1], seed=0)
    pixels = torch.randint(0, 256, (6, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(1)).float()
    batch = (pixels.contiguous(memory_format=torch.channels_last), torch.eye(3).repeat(2, 1))
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    # A batch that is validated on may be smaller than the others.
    validation = (batch[0][:1], torch.zeros(1, dtype=torch.int64))
    trainer.fit(module, *(DataLoader(batches, batch_size=None) for batches in ([batch] * STEPS, [validation])))  # type: ignore[arg-type]
    return module, [weight.detach().clone() for weight in net.weights]


# Of torch, to torch.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*does not have many workers")
def test_a_compiled_step_changes_the_weights_as_an_eager_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMPILED, "default", {"backend": counting})
    graphs.clear()
    torch._dynamo.reset()
    (eager, expected), (compiled, found) = trained("off"), trained("default")
    assert len(graphs) == 1, "one graph, compiled once, and not for the validation"
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(expected, found, strict=True))
    assert eager.state_dict().keys() == compiled.state_dict().keys(), "a checkpoint fits both"


graphs: list[torch.fx.GraphModule] = []


def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
    """A backend that computes each graph as it is, and counts it."""
    graphs.append(graph)
    return graph


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["train.compile=cudagraphs"], "train.compile: cudagraphs: wants a GPU; use default, or off"),
        (
            ["train.compile=default", "model.architecture=tests.networks:small"],
            "which can't be compiled with the others; leave train.compile off",
        ),
    ],
)
def test_what_can_not_be_compiled_is_told(settings: list[str], message: str, drawn: Path, tmp_path: Path) -> None:
    config = load_config("quick", [*TINY, *settings], data=drawn)
    with pytest.raises(UsageError) as error:
        train_config(config, Claim(root=tmp_path), device="cpu", print_line=lambda line: None)
    assert message in str(error.value)


@pytest.mark.long
def test_a_training_is_compiled_by_torch_itself(
    drawn: Path, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    done = cli("train", drawn, "-r", "quick", *(word for one in TINY for word in ("--set", one)),
               "--set", "train.compile=default")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "kernels").rglob("*.so"))
