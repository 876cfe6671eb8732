"""The networks, in Keras 3 on its torch backend. This package and `fruitcnn.export` are the only ones with keras."""

import os

# Keras reads it once, when it is imported.
os.environ["KERAS_BACKEND"] = "torch"

import keras

from fruitcnn.model.builders import build_model
from fruitcnn.model.twin import training_twin

__all__ = ["build_model", "keras", "training_twin"]
