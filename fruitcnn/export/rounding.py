"""How far rounding alone moves a network's answers: closer than that no two runtimes agree.

Of pictures that hardly differ, in a network that cancels what they have in common, the last bit of a weight can be seen
in the fourth digit of a probability; of photographs in the seventh.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.card import PROBABILITIES
from fruitcnn.export.gate import Differences, differences
from fruitcnn.image import Pixels
from fruitcnn.runtime import Session, batches, most_at_once

# How often the weights are moved, and how much further apart two runtimes may be than that has moved the answers: they
# round each sum on the way, not the weights alone.
_DRAWS, _FACTOR = 4, 8
_BATCH = 8


def rounding(graph: onnx.ModelProto, pixels: Pixels) -> Differences:
    """How far apart two runtimes may be on pictures [N, S, S, 3], by what the weights' last bits change there."""
    expected = np.log(np.maximum(_probabilities(graph, pixels), np.finfo(np.float32).tiny, dtype=np.float64))
    moved = [differences(_probabilities(_moved(graph, seed), pixels), expected) for seed in range(_DRAWS)]
    logit, probability = _FACTOR * np.max([(each.logit, each.probability) for each in moved], axis=0)
    return Differences(logit, probability)


def _probabilities(graph: onnx.ModelProto, pixels: Pixels) -> Float32Array:
    session, at_once = Session(graph.SerializeToString()), min(_BATCH, most_at_once(pixels.shape[1]))
    return np.concatenate([session.answers([PROBABILITIES], part)[0] for part in batches(pixels, at_once)])


def _moved(graph: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy, each weight of which is moved by up to 2^-23 of itself: the last bit, or the last two."""
    rng, moved = np.random.default_rng(seed), onnx.ModelProto()
    moved.CopyFrom(graph)
    for tensor in moved.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            weights: NDArray[np.float32] = onnx.numpy_helper.to_array(tensor)
            change = 1 + rng.uniform(-1, 1, weights.shape) * np.finfo(np.float32).eps
            tensor.CopyFrom(onnx.numpy_helper.from_array((weights * change).astype(np.float32), tensor.name))
    return moved
