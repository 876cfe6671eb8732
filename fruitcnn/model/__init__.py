"""The networks, in Keras 3 on its torch backend. This package and `fruitcnn.export` are the only ones with keras."""

import os

# Keras reads it once, when it is imported.
os.environ["KERAS_BACKEND"] = "torch"

import keras

from fruitcnn.model.builders import build_model
from fruitcnn.model.forward import TorchForward

__all__ = ["TorchForward", "build_model", "keras"]
