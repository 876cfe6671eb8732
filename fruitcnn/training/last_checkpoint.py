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
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Save; only here, at an epoch's end, is a resume exact."""
        with written_whole(self.path) as temporary:
            trainer.save_checkpoint(temporary)


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
        raise _useless("is damaged, or was not written by fruitcnn", path) from error
    if not fits:
        raise _useless("is of another network", path)
    return path


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _useless(problem: str, path: Path) -> ModelError:
    return ModelError(problem, value=path, remedy="take it away to begin this run again, or start another one")
