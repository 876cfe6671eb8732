"""The bar of the epochs, of all networks that a run trains."""

import math
import time
from collections.abc import Callable

import lightning
from lightning.pytorch.callbacks import Callback

from fruitcnn.progress import Progress
from fruitcnn.runs.summary import duration
from fruitcnn.training.interruption import Interruption
from fruitcnn.wording import counted

# How many steps say how long all of them will take.
_MEASURED_STEPS = 8


class EpochProgress(Callback):
    """Shows `epoch 3 of 30` with the time that all epochs of the run will take; to be used as a context."""

    def __init__(self, interruption: Interruption, print_line: Callable[[str], object]) -> None:
        """print_line: is told once what all epochs will take, as soon as some steps are measured."""
        self.interruption, self._print_line = interruption, print_line
        self._accuracy = ""
        self._steps, self._measured_from = 0, 0.0
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
        self._steps += 1
        # The first step makes ready what the others use, and says nothing of them.
        if self._steps == 1:
            self._measured_from = time.monotonic()
        elif self._steps == 1 + _MEASURED_STEPS and not self.interruption.before:
            step = (time.monotonic() - self._measured_from) / _MEASURED_STEPS
            left = self._progress.total - self._progress.done
            epochs = counted(math.ceil(left), "epoch", "epochs")
            self._print_line(f"{epochs}: about {duration(step * left * trainer.num_training_batches)}")

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Say how good it was."""
        self._accuracy = f" ({float(trainer.callback_metrics['validation_accuracy']):.1%} right)"

    def _title(self, trainer: lightning.Trainer) -> str:
        number = self.interruption.before + trainer.current_epoch + 1
        return f"epoch {number} of {self.interruption.epochs}{self._accuracy}"
