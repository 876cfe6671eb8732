"""metrics.csv: an epoch a row."""

import csv
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from fruitcnn.checkpoint import METRICS_BY_EPOCH
from fruitcnn.outputs import written_whole

_MEASURED = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def write_history(rows: list[dict[str, float]], path: Path) -> None:
    """Write metrics.csv whole: a row an epoch."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


class History(Callback):
    """What was measured in each epoch, also of the epochs before a resume."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / METRICS_BY_EPOCH
        self.rows: list[dict[str, float]] = []
        self._start = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Add the row and write the file anew, whole."""
        measured = {name: round(float(trainer.callback_metrics[name]), 6) for name in _MEASURED}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = round(time.perf_counter() - self._start, 2)
        self.rows.append({"epoch": trainer.current_epoch + 1, **measured, "learning_rate": rate, "seconds": seconds})
        write_history(self.rows, self.path)

    def state_dict(self) -> dict[str, Any]:
        """For last.ckpt."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From last.ckpt."""
        self.rows = state["rows"]
