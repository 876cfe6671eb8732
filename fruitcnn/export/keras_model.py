"""model.keras: the answer model for plain Keras."""

from pathlib import Path

import numpy as np

from fruitcnn.device import on_cpu
from fruitcnn.export.formats import KERAS
from fruitcnn.export.gate import Outputs, Parity, Tolerance
from fruitcnn.export.rounding import GraphRounding
from fruitcnn.export.source import TrainedSource
from fruitcnn.image import Pixels
from fruitcnn.model import keras
from fruitcnn.model.archive import load_keras
from fruitcnn.runtime import batches

TOLERANCE = Tolerance(logit=1e-5, probability=1e-5)
_BATCH = 64


def write_keras(source: TrainedSource, file: Path) -> None:
    """Write the model as Keras does."""
    with on_cpu():
        source.model.save(file)


def prove_keras(source: TrainedSource, file: Path) -> Parity:
    """Load the file again and compare its answers, by Keras' own layers. Raises ExportError."""
    with on_cpu():
        model = load_keras(file)
    gate = source.gate
    answers = keras_outputs(model, gate.reference.pixels)
    return gate.check(KERAS.file, answers, TOLERANCE, GraphRounding(lambda: source.graph))


def keras_outputs(model: keras.Model, pixels: Pixels) -> Outputs:
    """All outputs, by name, of uint8 pixels [N, S, S, 3]; from a channels_last Keras model."""
    with on_cpu():
        found = [
            keras.tree.flatten(model.predict_on_batch(batch.astype(np.float32))) for batch in batches(pixels, _BATCH)
        ]
    return dict(zip(model.output_names, map(np.concatenate, zip(*found, strict=True)), strict=True))
