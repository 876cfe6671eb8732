"""Training: from a data set and a recipe to a finished checkpoint directory."""

from fruitcnn.training.run import train

__all__ = ["train"]
