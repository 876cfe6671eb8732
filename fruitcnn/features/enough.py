"""The learning curve of a last layer on the shipped network's features: of a data set, or of a run that has them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fruitcnn.arrays import Float32Array
from fruitcnn.calibration.fold_heads import PENALTY
from fruitcnn.calibration.learning_curve import REPETITIONS, measure_curve
from fruitcnn.config import HeadConfig, load_config
from fruitcnn.dataset.records import Dataset, Record, group_numbers
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError
from fruitcnn.evaluation.enough import FEWEST, Enough
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor
from fruitcnn.progress import part
from fruitcnn.recipes import DEFAULT
from fruitcnn.runs.run import Run

# Of a run, whose report shows the curve beside all else, its range is a third wider.
_FEWER_REPETITIONS = 3


def enough(data: Path) -> Enough:
    """Measure the learning curve of the recipe `features` on a folder or CSV. Raises DatasetError."""
    config = load_config(DEFAULT, data=data)
    size, head = config.data.size, config.head or HeadConfig()
    dataset = scan(data, sizes=[size])
    pictures = dataset.pictures
    few = [label for label in dataset.labels if sum(record.label == label for record in pictures) < 5]
    if few:
        problem = f"fewer than five pictures of {', '.join(few[:5])}"
        raise DatasetError(problem, value=data, remedy="add more: parts of so few say nothing")
    penalty = head.penalty or PENALTY
    features = Extractor(shipped_backbone(size)).features(dataset.rows(pictures, size))
    return _measured(dataset, pictures, features, penalty=penalty, repetitions=REPETITIONS, seed=config.seed)


def run_enough(run: Run, features: Mapping[str, Float32Array], *, penalty: float) -> Enough | None:
    """The same of all pictures of a run, for its report; None without one, and of too few pictures for a forecast.

    features: [M, D] by split, in the order of the data set.
    """
    dataset = run.dataset
    pictures = [record for split in dataset.splits for record in dataset.in_split(split)]
    if not run.hooks.export or len(pictures) < FEWEST:
        return None
    with part("measuring the learning curve", share=0.3):
        rows = np.concatenate([features[split] for split in dataset.splits])
        return _measured(dataset, pictures, rows, penalty=penalty, repetitions=_FEWER_REPETITIONS, seed=run.config.seed)


def _measured(
    dataset: Dataset, pictures: list[Record], features: Float32Array, *, penalty: float, repetitions: int, seed: int
) -> Enough:
    """Of pictures of a data set, by their features [N, D]."""
    targets = np.array([dataset.labels.index(record.label) for record in pictures])
    curve = measure_curve(
        features, targets, group_numbers(pictures), penalty=penalty, repetitions=repetitions, seed=seed
    )
    return Enough.of(dataset.labels, curve)
