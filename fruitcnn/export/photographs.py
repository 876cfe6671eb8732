"""The pictures of a run, on which smaller files are calibrated and judged."""

import dataclasses
from pathlib import Path

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.config import load_config
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION
from fruitcnn.dataset.saved_split import apply_split
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import DatasetError
from fruitcnn.image import Pixels

# Pictures whose activations set the scales of whole numbers; more change nothing.
MOST_CALIBRATING = 256


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Pictures of a run. calibration: uint8 [K, S, S, 3], trained on; pixels [M, S, S, 3], labels [M], to be judged on.

    name: of the split that the latter are from.
    """

    calibration: Pixels
    pixels: PixelRows
    labels: list[str]
    name: str


def read_photographs(folder: Path) -> Photographs:
    """The pictures of a checkpoint directory, by its config.yaml and split.csv.

    Judged on are its test and validation pictures; of a run that trained on all, those that don't calibrate. Raises
    DatasetError where they are not at hand.
    """
    data = load_config(folder / checkpoint.CONFIG).data
    if data.path is None or not Path(data.path).exists():
        raise DatasetError(
            f"its pictures ({data.path}) are not here, and a smaller file must be shown to hold on them",
            value=folder / checkpoint.CONFIG,
            remedy="start the command where that path leads to them",
        )
    # The run's own split takes the place of this one.
    dataset = scan(Path(data.path), sizes=[data.size])
    dataset = apply_split(dataset, folder / checkpoint.SPLIT)
    training = dataset.in_split(TRAIN)
    chosen = np.linspace(0, len(training) - 1, min(MOST_CALIBRATING, len(training))).astype(int)
    calibration = dataset.rows([training[index] for index in chosen], data.size)[:]
    judged = [record for split in (TEST, VALIDATION) for record in dataset.in_split(split)]
    name = "held-back"
    if not judged:
        taken = set(chosen.tolist())
        judged, name = [record for index, record in enumerate(training) if index not in taken], "training"
    return Photographs(calibration, dataset.rows(judged, data.size), [record.label for record in judged], name)
