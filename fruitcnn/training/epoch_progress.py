"""The bar of the epochs, of all networks that a run trains."""

import lightning
from lightning.pytorch.callbacks import Callback

from fruitcnn.progress import Progress
from fruitcnn.training.interruption import Interruption


class EpochProgress(Callback):
    """Shows `epoch 3 of 30` with the time that all epochs of the run will take; to be used as a context."""

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption
        self._accuracy = ""
        self._progress = Progress("", interruption.epochs)

    def __enter__(self) -> "EpochProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.__exit__(*exception)

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Show the bar, from where a resume begins."""
        done = self.interruption.before + trainer.current_epoch
        self._progress = Progress(self._title(trainer), self.interruption.epochs, done=done)
        self._progress.__enter__()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Count from 1."""
        self._progress.advance(0, title=self._title(trainer))

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        """Move on by a batch."""
        self._progress.advance(1 / trainer.num_training_batches)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Say how good it was."""
        self._accuracy = f" ({float(trainer.callback_metrics['validation_accuracy']):.1%} right)"

    def _title(self, trainer: lightning.Trainer) -> str:
        number = self.interruption.before + trainer.current_epoch + 1
        return f"epoch {number} of {self.interruption.epochs}{self._accuracy}"
