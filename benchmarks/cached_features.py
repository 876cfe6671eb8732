"""The shipped network's features of a whole picture set, as the benchmarks of the recipe `features` start from them."""

import dataclasses
from pathlib import Path

import numpy as np

from fruitcnn import checkpoint
from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.records import group_numbers
from fruitcnn.dataset.scan import scan
from fruitcnn.features.backbone import cut_backbone
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
    assert checkpoint.SHIPPED is not None
    dataset = scan(data, sizes=[_SIZE])
    backbone = cut_backbone(checkpoint.SHIPPED / checkpoint.ONNX, _SIZE)
    extractor = Extractor(backbone.SerializeToString(deterministic=True))
    pictures = dataset.pictures
    return FeatureSet(
        extractor.features(dataset.rows(pictures, _SIZE)),
        np.array([dataset.labels.index(picture.label) for picture in pictures]),
        group_numbers(pictures),
        dataset.labels,
    )
