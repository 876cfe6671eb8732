"""Ctrl-C and SIGTERM during a training: kept until a place where stopping costs no whole epoch."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from fruitcnn.errors import InterruptedTrainingError
from fruitcnn.ranks import ranks
from fruitcnn.temporaries import discard_unfinished
from fruitcnn.training.processes import largest
from fruitcnn.wording import counted


class Interruption(Callback):
    """Within `with`, the first signal is remembered and acted upon at the end of a batch; a second one ends at once."""

    def __init__(self, *, epochs: int, run: str, value: object) -> None:
        """epochs: of all networks that are trained within. before: those of networks that are trained already."""
        self.epochs, self.run, self.value = epochs, run, value
        self.before = self.done = 0
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        # Python lets only the main thread handle signals; in another one the caller's handlers stay.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                # What the parent made this process ignore, as nohup and a shell's & do, stays ignored.
                if handler is not signal.SIG_IGN:
                    self._before[number] = handler
                    signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        # torchrun hands a terminal's Ctrl-C on as a SIGTERM: that is no second one of somebody who can't wait.
        if self._signal is not None and ranks().count == 1:
            discard_unfinished()
            os._exit(128 + number)
        self._signal = number

    def check(self) -> None:
        """Raise InterruptedTrainingError if there was a signal."""
        if self._signal is not None:
            raise InterruptedTrainingError(
                self._signal,
                f"stopped after {self.done} of {counted(self.epochs, 'epoch', 'epochs')}",
                value=self.value,
                remedy=f"go on with the same command and --name {self.run} --resume",
            )

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Count the epochs before a resume, and take the signal back from Lightning.

        Its handler talks to the other processes, wherever this one is just then: where some of them wait for each other
        elsewhere, all wait for ever.
        """
        if signal.SIGTERM in self._before:
            signal.signal(signal.SIGTERM, self._remember)
        self.done = self.before + trainer.current_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Count an epoch."""
        self.done = self.before + trainer.current_epoch + 1

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object) -> None:
        """Stop after a batch; where several processes train, all of them after the same one."""
        self._signal = largest(self._signal or 0) or None
        self.check()

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, *_: object
    ) -> None:
        """Stop between batches of the validation, too: there can be many."""
        self._signal = largest(self._signal or 0) or None
        self.check()
