"""Softmax and what belongs to it, without overflow."""

import numpy as np

from fruitcnn.arrays import Float32Array, FloatArray


def log_sum_exp(values: FloatArray) -> FloatArray:
    """Over the last axis, in the precision of `values`."""
    most = values.max(axis=-1, keepdims=True)
    total: FloatArray = (most + np.log(np.exp(values - most).sum(axis=-1, keepdims=True)))[..., 0]
    return total


def log_softmax(logits: FloatArray) -> FloatArray:
    """Log-probabilities [N, C] of logits [N, C], in their precision."""
    return logits - log_sum_exp(logits)[..., np.newaxis]


def softmax(logits: FloatArray) -> Float32Array:
    """Probabilities float32 [N, C] of logits [N, C]."""
    return np.exp(log_softmax(logits.astype(np.float64))).astype(np.float32)
