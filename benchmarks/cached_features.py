"""The shipped network's features of a whole picture set, as the benchmarks of the recipe `features` start from them."""

import dataclasses
from pathlib import Path

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.records import group_numbers
from fruitcnn.dataset.scan import scan
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor

# Pixels: what the recipe `features` takes.
_SIZE = 256


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """features: float32 [N, D]; targets: class indices [N]; groups: [N], equal for near-duplicates; labels: [C]."""

    features: Float32Array
    targets: IntArray
    groups: IntArray
    labels: list[str]


def read_features(data: Path) -> FeatureSet:
    """The features of all pictures of a set, whatever split they are in; kept in fruitcnn's cache."""
    dataset = scan(data, sizes=[_SIZE])
    extractor = Extractor(shipped_backbone(_SIZE))
    pictures = dataset.pictures
    return FeatureSet(
        extractor.features(dataset.rows(pictures, _SIZE)),
        np.array([dataset.labels.index(picture.label) for picture in pictures]),
        group_numbers(pictures),
        dataset.labels,
    )
