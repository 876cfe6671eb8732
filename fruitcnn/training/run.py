"""A run whose network learns in epochs."""

import dataclasses

import torch

from fruitcnn.runs.run import Run
from fruitcnn.training.interruption import Interruption


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkRun(Run):
    """See `Run`. device: where the epochs run. interruption: what stops it between two batches."""

    device: torch.device
    interruption: Interruption

    def check(self) -> None:
        """Raise InterruptedTrainingError if there was a signal."""
        self.interruption.check()
