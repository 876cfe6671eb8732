"""How far rounding alone moves a network's answers: closer than that no two runtimes agree.

Of pictures that hardly differ, in a network that cancels what they have in common, the last bit of a weight can be seen
in the fourth digit of a probability; of photographs in the seventh.
"""

import dataclasses
from collections.abc import Callable, Iterator

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


@dataclasses.dataclass(frozen=True)
class GraphRounding:
    """What the weights' last bits change, as `fruitcnn.export.gate.Rounding`. graph: made when it is asked for."""

    graph: Callable[[], onnx.ModelProto]

    def probabilities(self, pixels: Pixels) -> Differences:
        """Of pictures [N, S, S, 3]."""
        plain, *moved = self._answers(PROBABILITIES, pixels)
        expected = np.log(np.maximum(plain, np.finfo(np.float32).tiny, dtype=np.float64))
        found = [differences(answers, expected) for answers in moved]
        logit, probability = _FACTOR * np.max([(each.logit, each.probability) for each in found], axis=0)
        return Differences(logit, probability)

    def mean(self, output: str, pixels: Pixels) -> float:
        """Of an output to pictures [N, S, S, 3]."""
        plain, *moved = self._answers(output, pixels)
        return _FACTOR * max(float(np.abs(answers - plain).mean()) for answers in moved)

    def _answers(self, output: str, pixels: Pixels) -> Iterator[Float32Array]:
        """By the graph as it is, and with its weights moved."""
        graph, at_once = self.graph(), min(_BATCH, most_at_once(pixels.shape[1]))
        for one in (graph, *(_moved(graph, seed) for seed in range(_DRAWS))):
            session = Session(one.SerializeToString())
            yield np.concatenate([session.answers([output], part)[0] for part in batches(pixels, at_once)])


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
