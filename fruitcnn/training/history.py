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
_COLUMNS = ("epoch", *_MEASURED, "learning_rate", "seconds")


def write_history(rows: list[dict[str, float]], path: Path) -> None:
    """Write metrics.csv whole: a row an epoch."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
        measured = [round(float(trainer.callback_metrics[name]), 6) for name in _MEASURED]
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = round(time.perf_counter() - self._start, 2)
        row = [trainer.current_epoch + 1, *measured, rate, seconds]
        self.rows.append(dict(zip(_COLUMNS, row, strict=True)))
        if trainer.is_global_zero:
            write_history(self.rows, self.path)

    def state_dict(self) -> dict[str, Any]:
        """For last.ckpt."""
        return {"rows": self.rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From last.ckpt. Raises ValueError for rows that are none."""
        rows = state["rows"]
        if any(row.keys() != set(_COLUMNS) or not all(map(_is_number, row.values())) for row in rows):
            raise ValueError("the history is damaged")
        self.rows = rows
