"""How far rounding alone moves a network's answers: closer than that no two runtimes agree.

Of pictures that hardly differ, in a network that cancels what they have in common, the last bit of a weight can be seen
in the fourth digit of a probability; of photographs in the seventh.
"""

import numpy as np
import onnx
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.card import PROBABILITIES
from fruitcnn.export.gate import Tolerance, distance
from fruitcnn.export.reference import Reference
from fruitcnn.runtime import Session, batches

# How often the weights are moved, and how much further apart two runtimes may be than that has moved the answers: they
# round each sum on the way, not the weights alone.
_DRAWS, _FACTOR = 8, 8.0
# Beyond it a network has no answers that could be called its own.
_MOST = 1e-2
_BATCH = 8


def rounding(graph: onnx.ModelProto, reference: Reference) -> Tolerance:
    """How far apart two runtimes may be on the reference's pictures, by what the weights' last bits change there."""
    with np.errstate(divide="ignore"):
        expected = np.log(_probabilities(graph, reference).astype(np.float64))
    moved = [distance(_probabilities(_moved(graph, seed), reference), expected) for seed in range(_DRAWS)]
    logit, probability = (min(_FACTOR * found, _MOST) for found in np.max(moved, axis=0).tolist())
    return Tolerance(logit, probability)


def _probabilities(graph: onnx.ModelProto, reference: Reference) -> Float32Array:
    session = Session(graph.SerializeToString())
    return np.concatenate([session.answers([PROBABILITIES], part)[0] for part in batches(reference.pixels, _BATCH)])


def _moved(graph: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """A copy, each weight of which is moved by up to one unit in its last place."""
    rng, moved = np.random.default_rng(seed), onnx.ModelProto()
    moved.CopyFrom(graph)
    for tensor in moved.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            weights: NDArray[np.float32] = onnx.numpy_helper.to_array(tensor)
            change = 1 + rng.uniform(-1, 1, weights.shape) * np.finfo(np.float32).eps
            tensor.CopyFrom(onnx.numpy_helper.from_array((weights * change).astype(np.float32), tensor.name))
    return moved
