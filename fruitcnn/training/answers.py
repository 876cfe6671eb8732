"""A network's answers to pictures."""

import numpy as np
import torch

from fruitcnn.calibration.held_out import Answers
from fruitcnn.dataset.store import PixelRows
from fruitcnn.image import Pixels
from fruitcnn.model import TorchForward, features_model, has_features, keras

_BATCH = 32


@torch.no_grad()
def answers_of(model: keras.Model, pixels: PixelRows | Pixels) -> Answers:
    """Run a network, from pixels to logits, on uint8 pixels [N, S, S, 3]: float32, on the CPU."""
    net = TorchForward(features_model(model) if has_features(model) else model).eval()
    parts = []
    for start in range(0, len(pixels), _BATCH):
        batch = torch.from_numpy(pixels[start : start + _BATCH]).permute(0, 3, 1, 2)  # [32, 3, S, S]
        found = net(batch.float().contiguous(memory_format=torch.channels_last))
        parts.append([value.numpy() for value in (found if isinstance(found, tuple) else (found[:, :0], found))])
    return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))
