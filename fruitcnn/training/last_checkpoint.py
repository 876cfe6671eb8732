"""last.ckpt: everything that a resume needs, after every epoch."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Checkpoint

from fruitcnn.checkpoint import LAST
from fruitcnn.files import written_whole


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
