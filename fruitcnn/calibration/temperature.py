"""Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks)."""

import numpy as np

from fruitcnn.arrays import FloatArray, IntArray
from fruitcnn.calibration.minimize import Float64Array, minimize
from fruitcnn.calibration.softmax import log_softmax

# Beyond these nothing sensible lies: such a fit says that the pictures do not fit the network.
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: FloatArray, targets: IntArray) -> float:
    """The T that minimises the cross-entropy of logits [N, C] / T against class indices [N], softened.

    It is fitted on pictures that the network was not trained on, does not change any answer, and makes a percentage
    mean what it says. A label counts (N + 1) / (N + 2), as if one more picture had been right and one wrong (Platt
    1999): a hundred pictures with a mistake or none would speak for certainty that the next hundred refute. Kept
    within 0.05..20.
    """
    count, classes = logits.shape
    logits = logits.astype(np.float64)
    softened = classes / (classes - 1) / (count + 2)
    wanted = np.full((count, classes), softened / classes)  # [N, C], each row sums to 1
    wanted[np.arange(count), targets] += 1 - softened

    def loss(log_inverse: Float64Array) -> tuple[float, Float64Array]:
        scaled = logits * np.exp(log_inverse)
        logs = log_softmax(scaled)
        return -float((wanted * logs).sum()) / count, ((np.exp(logs) - wanted) * scaled).sum(keepdims=True)[0] / count

    # In the inverse the problem is convex; its logarithm keeps it positive.
    log_inverse = minimize(loss, np.zeros(1))
    return float(np.clip(np.exp(-log_inverse[0]), LOWEST, HIGHEST))
