"""Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks), on the safe side."""

import numpy as np

from fruitcnn.arrays import Float64Array, FloatArray, IntArray
from fruitcnn.calibration.minimize import minimize
from fruitcnn.calibration.softmax import log_softmax

# Beyond these nothing sensible lies: such a fit says that the pictures do not fit the network.
LOWEST, HIGHEST = 0.05, 20.0
# What being on the safe side may cost, in nats a picture of those that it is fitted on.
_COST = 0.001
_RESAMPLES = 400
# Temperatures that are tried, each 1.5 % above the one before.
_TRIED = np.geomspace(LOWEST, HIGHEST, 401)


def fit_temperature(logits: FloatArray, targets: IntArray) -> float:
    """The T that minimises the cross-entropy of logits [N, C] / T against class indices [N], softened.

    It is fitted on pictures that the network was not trained on, does not change any answer, and makes a percentage
    mean what it says. A label counts (N + 1) / (N + 2), as if one more picture had been right and one wrong (Platt
    1999): a hundred pictures with a mistake or none would speak for certainty that the next hundred refute. Kept
    within 0.05..20.
    """
    logits, wanted = logits.astype(np.float64), _softened(targets, logits.shape[1])

    def loss(log_inverse: Float64Array) -> tuple[float, Float64Array]:
        scaled = logits * np.exp(log_inverse)
        logs = log_softmax(scaled)
        slope = ((np.exp(logs) - wanted) * scaled).sum(keepdims=True)[0]
        return -float((wanted * logs).sum()) / len(logits), slope / len(logits)

    # In the inverse the problem is convex; its logarithm keeps it positive.
    log_inverse = minimize(loss, np.zeros(1))
    return float(np.clip(np.exp(-log_inverse[0]), LOWEST, HIGHEST))


def fit_safe_temperature(logits: FloatArray, targets: IntArray, groups: IntArray, *, at_least: float) -> float:
    """The highest T that logits [N, C] and class indices [N] speak for: never sharper than the evidence.

    The upper end of the 95 % bootstrap interval of `fit_temperature` (Efron 1979), as far as it costs no more than
    0.001 nats a picture: of thousands it is all of it, of a few dozen the interval is so wide that its end would be
    less sure than right. groups: int [N], equal for near-duplicates, which are drawn together. at_least: T's lower
    bound.
    """
    fitted = float(np.clip(fit_temperature(logits, targets), at_least, HIGHEST))
    wanted = _softened(targets, logits.shape[1])
    losses = np.stack([-(wanted * log_softmax(logits / each)).sum(1) for each in _TRIED])  # [Q, N]
    names = np.unique(groups, return_inverse=True)[1]
    by_group = np.stack([np.bincount(names, weights=row) for row in losses])  # [Q, G]
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(by_group.shape[1], np.full(by_group.shape[1], 1 / by_group.shape[1]), _RESAMPLES)
    end = float(np.quantile(_TRIED[(by_group @ drawn.T).argmin(0)], 0.975))
    # The mean loss is unimodal in T: beyond the fitted one it only rises.
    dear = losses.mean(1) > np.interp(fitted, _TRIED, losses.mean(1)) + _COST
    limit = float(_TRIED[dear & (fitted < _TRIED)].min(initial=HIGHEST))
    return max(fitted, min(end, limit))


def _softened(targets: IntArray, classes: int) -> Float64Array:
    """Target distributions [N, C] of class indices [N], each label a little less than certain."""
    count = len(targets)
    softened = classes / (classes - 1) / (count + 2)
    wanted = np.full((count, classes), softened / classes)  # each row sums to 1
    wanted[np.arange(count), targets] += 1 - softened
    return wanted
