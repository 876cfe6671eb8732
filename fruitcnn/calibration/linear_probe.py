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


@dataclasses.dataclass(frozen=True)
class Heads:
    """Dense layers on the same features that answer together: each one's probabilities, and the mean of them."""

    members: tuple[Head, ...]

    @property
    def mean(self) -> Head:
        """The layer whose logits are the mean of all layers' logits."""
        kernels, biases = zip(*((head.kernel, head.bias) for head in self.members), strict=True)
        return Head(np.mean(kernels, axis=0, dtype=np.float32), np.mean(biases, axis=0, dtype=np.float32))

    def probabilities(self, features: Float32Array, temperature: float) -> Float32Array:
        """Probabilities [N, C] of features [N, D], by logits that are divided by a temperature."""
        return np.exp(self.log_probabilities(features, temperature))

    def log_probabilities(self, features: Float32Array, temperature: float) -> Float32Array:
        """Logarithms of the probabilities [N, C]: what they are the softmax of, however small."""
        logs = [log_softmax(head.logits(features).astype(np.float64) / temperature) for head in self.members]
        mean: Float32Array = (np.logaddexp.reduce(logs) - np.log(len(logs))).astype(np.float32)
        return mean


def fit_head(features: Float32Array, targets: IntArray, *, classes: int, penalty: float) -> Head:
    """Multinomial logistic regression of features [N, D] against class indices [N].

    penalty: what the squared weights (of features that were brought to unit variance, all by one factor) count beside
    the summed loss. Convex, in float64 by L-BFGS: the same answer whatever the start.
    """
    rows = features.astype(np.float64)
    centre, scale = rows.mean(0), float(rows.std(ddof=1)) or 1.0
    rows = (rows - centre) / scale
    count, each = len(rows), np.arange(len(rows))
    # Of fewer pictures than features the best weights lie in the space that the pictures span: it is smaller.
    basis = np.linalg.qr(rows.T)[0] if count < rows.shape[1] else np.eye(0)
    rows = rows @ basis if basis.size else rows

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        kernel = weights[:-1]
        logs = log_softmax(rows @ kernel + weights[-1])  # [N, C]
        value = -logs[each, targets].mean() + penalty * float((kernel**2).sum()) / count
        errors = np.exp(logs)
        errors[each, targets] -= 1
        slope = (rows.T @ errors + 2 * penalty * kernel) / count
        return float(value), np.vstack([slope, errors.mean(0)])

    weights = minimize(loss, np.zeros((rows.shape[1] + 1, classes)))
    kernel = (basis @ weights[:-1] if basis.size else weights[:-1]) / scale
    bias = weights[-1] - centre @ kernel
    return Head(kernel.astype(np.float32), bias.astype(np.float32))
