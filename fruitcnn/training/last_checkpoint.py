"""last.ckpt: everything that a resume needs, after every epoch."""

import io
import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from fruitcnn.checkpoint import LAST
from fruitcnn.errors import ModelError, system_error
from fruitcnn.outputs import written_whole
from fruitcnn.regular_files import open_regular
from fruitcnn.terminal import printable

# What Lightning reads of it.
_PARTS = {"epoch", "state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops"}


class PlainCheckpointIO(TorchCheckpointIO):
    """Writes where it is told. Lightning's own first fills a file elsewhere, in the system's temporary folder.

    That file would be left there by a kill, and be what the error of a full disk names.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Save to a local file."""
        # Into memory first: torch's own writer to files hides what the system said behind an error of its own.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).write_bytes(buffer.getbuffer())


class LastCheckpoint(Checkpoint):
    """Writes last.ckpt whole and flushed. Lightning's own save is neither flushed nor always whole.

    It derives from Checkpoint because Lightning calls those after all other callbacks, when their state is complete.
    is_restored: whether the training has begun, so that what fails is not what was read of a last.ckpt.
    """

    def __init__(self, folder: Path, labels: list[str]) -> None:
        self.path, self.labels = folder / LAST, labels
        self.is_restored = False

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Look at what Lightning restores without looking: a value of another shape would fail in the first step."""
        (optimizer,) = trainer.optimizers
        for parameter, state in optimizer.state.items():
            tensors = [value for value in state.values() if isinstance(value, torch.Tensor) and value.ndim]
            if any(value.shape != parameter.shape for value in tensors):
                raise ValueError("the optimizer's state is of other weights")
        if bool(trainer.global_step) != bool(optimizer.state):
            raise ValueError("the optimizer's state and the number of steps disagree")
        if not all(isinstance(group["lr"], float) for group in optimizer.param_groups):
            raise ValueError("a learning rate is no number")
        self.is_restored = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Save; only here, at an epoch's end, is a resume exact."""
        if not trainer.is_global_zero:
            # Lightning writes in the first process alone, and wants all of them to ask for it.
            trainer.save_checkpoint(self.path)
            return
        with written_whole(self.path) as temporary:
            trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """The order of the classes is that of the network's answers."""
        return {"labels": self.labels}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ModelError where the run has learned other classes, or the same ones in another order."""
        if state["labels"] != self.labels:
            names = [printable(", ".join(labels)) for labels in (map(str, state["labels"]), self.labels)]
            problem = f"the run has the classes {names[0]}, in this order; the data now give {names[1]}"
            raise ModelError(problem, value=self.path, remedy="restore the data, or start another run")


def find_last(folder: Path, module: lightning.LightningModule) -> Path | None:
    """The last.ckpt of a run, None where it has none yet. Raises ModelError for one that is not of this module."""
    path = folder / LAST
    if not path.exists():
        return None
    try:
        with open_regular(path) as file:
            # Tensors and plain values only: no code in the file runs.
            saved = torch.load(file, map_location="cpu", weights_only=True)
        fits = _shapes(saved["state_dict"]) == _shapes(module.state_dict()) and saved.keys() >= _PARTS
    except OSError as error:
        raise system_error(error, ModelError, value=path) from error
    except Exception as error:
        # torch raises what its many readers raise, and advises to run whatever the file says.
        raise damaged(path) from error
    if not fits:
        raise _useless("is of another network", path)
    return path


def damaged(path: Path) -> ModelError:
    """What to raise for a last.ckpt that nothing can be made of."""
    return _useless("is damaged, or was not written by fruitcnn", path)


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _useless(problem: str, path: Path) -> ModelError:
    return ModelError(problem, value=path, remedy="take it away to begin this run again, or start another one")
