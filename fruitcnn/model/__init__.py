"""The networks, in Keras 3 on its torch backend. This package and `fruitcnn.export` are the only ones with keras."""

from fruitcnn.device import settle_keras

settle_keras()

import keras

from fruitcnn.model.answer import answer_model, features_model, has_features
from fruitcnn.model.builders import build_model
from fruitcnn.model.interpreter import TorchForward

__all__ = ["TorchForward", "answer_model", "build_model", "features_model", "has_features", "keras"]
