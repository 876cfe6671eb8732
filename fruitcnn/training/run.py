"""One training under way: what its stages have in common."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.training.interruption import Interruption


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe on a data set, in its folder.

    device: where the epochs run. interruption: what stops it between two batches. print_line: takes what people are
    told.
    """

    config: Config
    dataset: Dataset
    folder: Path
    device: torch.device
    interruption: Interruption
    print_line: Callable[[str], object]
