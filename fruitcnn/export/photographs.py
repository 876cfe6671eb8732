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

    Judged on are its test and validation pictures; of a run that trained on all, those that don't calibrate, half of
    them at least. Raises DatasetError where they are not at hand, or too few.
    """
    data = load_config(folder / checkpoint.CONFIG).data
    if data.path is None or not Path(data.path).exists():
        raise DatasetError(
            f"its pictures ({data.path}) are not here, and a smaller file must be shown to hold on them",
            value=folder / checkpoint.CONFIG,
            remedy="start the command where that path leads to them",
        )
    try:
        # The run's own split takes the place of this one.
        dataset = apply_split(scan(Path(data.path), sizes=[data.size]), folder / checkpoint.SPLIT)
    except DatasetError as error:
        if data.extend is None:
            raise
        raise DatasetError(
            f"a smaller file must be shown to hold on all pictures of the run, and of those of {data.extend} it may "
            f"have the features alone ({error.problem})",
            value=error.value,
            remedy=f"use {checkpoint.ONNX}, or train with all pictures",
        ) from error
    training = dataset.in_split(TRAIN)
    splits = [split for split in (TEST, VALIDATION) if dataset.in_split(split)]
    judged = [record for split in splits for record in dataset.in_split(split)]
    name, most = (" and ".join(splits), len(training)) if judged else ("training", len(training) // 2)
    chosen = np.linspace(0, len(training) - 1, min(MOST_CALIBRATING, most)).astype(int)
    if not len(chosen):
        problem = f"a smaller file is calibrated and judged on different pictures, and it has {len(training)}"
        remedy = f"use {checkpoint.ONNX}, or train with more pictures"
        raise DatasetError(problem, value=folder / checkpoint.SPLIT, remedy=remedy)
    if not judged:
        taken = set(chosen.tolist())
        judged = [record for index, record in enumerate(training) if index not in taken]
    calibration = dataset.rows([training[index] for index in chosen], data.size)[:]
    return Photographs(calibration, dataset.rows(judged, data.size), [record.label for record in judged], name)
