"""A network's last layer alone, fitted to convergence on features that are computed once (linear probing).

Minutes on a laptop: no gradient goes through the network, whose answers to a picture never change.
"""

import dataclasses

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.minimize import Float64Array, minimize
from fruitcnn.calibration.softmax import log_softmax


@dataclasses.dataclass(frozen=True)
class Head:
    """A Dense layer from features [N, D] to logits [N, C]: kernel [D, C], bias [C]."""

    kernel: Float32Array
    bias: Float32Array

    def logits(self, features: Float32Array) -> Float32Array:
        """Logits [N, C] of features [N, D]."""
        return features @ self.kernel + self.bias


def fit_head(features: Float32Array, targets: IntArray, *, classes: int, penalty: float) -> Head:
    """Multinomial logistic regression of features [N, D] against class indices [N].

    penalty: what the squared weights (of features that were brought to unit variance, all by one factor) count beside
    the summed loss. Convex, in float64 by L-BFGS: the same answer whatever the start.
    """
    rows = features.astype(np.float64)
    centre, scale = rows.mean(0), float(rows.std(ddof=1)) or 1.0
    rows = (rows - centre) / scale
    count, each = len(rows), np.arange(len(rows))

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        kernel = weights[:-1]
        logs = log_softmax(rows @ kernel + weights[-1])  # [N, C]
        value = -logs[each, targets].mean() + penalty * float((kernel**2).sum()) / count
        errors = np.exp(logs)
        errors[each, targets] -= 1
        slope = (rows.T @ errors + 2 * penalty * kernel) / count
        return float(value), np.vstack([slope, errors.mean(0)])

    weights = minimize(loss, np.zeros((rows.shape[1] + 1, classes)))
    kernel = weights[:-1] / scale
    bias = weights[-1] - centre @ kernel
    return Head(kernel.astype(np.float32), bias.astype(np.float32))
