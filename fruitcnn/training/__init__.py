"""Training: from a data set and a recipe to a finished checkpoint directory."""

from fruitcnn.training.stages import train_config

__all__ = ["train_config"]
