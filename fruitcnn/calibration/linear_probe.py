"""A network's last layer alone, fitted to convergence on features that are computed once (linear probing).

Minutes on a laptop: no gradient goes through the network, whose answers to a picture never change.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fruitcnn.arrays import BoolArray, Float32Array, Float64Array, IntArray
from fruitcnn.calibration.minimize import FLAT, minimize_all
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


# Logits of all layers that are fitted at once, of a picture and of all: with 1,280 features the search remembers 300 MB
# and a step takes 500 MB.
_OF_A_PICTURE, _OF_ALL = 600, 20_000_000


def fit_head(features: Float32Array, targets: IntArray, *, classes: int, penalty: float) -> Head:
    """Multinomial logistic regression of features [N, D] against class indices [N].

    penalty: what the squared weights (of features that were brought to unit variance, all by one factor) count beside
    the summed loss. Convex, in float64 by L-BFGS: the same answer whatever the start.
    """
    return fit_heads(features, targets, [Part(np.ones(len(targets), bool), penalty)], classes=classes)[0]


class Part(NamedTuple):
    """What a layer learns from: the chosen of N pictures, bool [N], and its penalty."""

    chosen: BoolArray
    penalty: float


def fit_heads(
    features: Float32Array, targets: IntArray, parts: Sequence[Part], *, classes: int, flat: float = FLAT
) -> list[Head]:
    """A layer for each part of the pictures, as `fit_head` fits one to it. The parts' features are of one scale.

    Several at once: the features are then read once a step for all of them, which takes more time than the rest. flat:
    the slope of the loss at which a layer is fitted.
    """
    rows = features.astype(np.float64)
    centre, scale = rows.mean(0), float(rows.std(ddof=1)) or 1.0
    rows = (rows - centre) / scale
    # Of fewer pictures than features the best weights lie in the space that the pictures span: it is smaller.
    basis = np.linalg.qr(rows.T)[0] if len(rows) < rows.shape[1] else None
    rows = rows if basis is None else rows @ basis
    heads, at_once = list[Head](), max(1, min(_OF_A_PICTURE, _OF_ALL // len(rows)) // classes)
    for first in range(0, len(parts), at_once):
        some = parts[first : first + at_once]
        starts = np.zeros((len(some), rows.shape[1] + 1, classes))
        for weights in minimize_all(_Losses.of(features, rows, targets, some, scale), starts, flat=flat):
            kernel = (weights[:-1] if basis is None else basis @ weights[:-1]) / scale
            heads.append(Head(kernel.astype(np.float32), (weights[-1] - centre @ kernel).astype(np.float32)))
    return heads


@dataclasses.dataclass(frozen=True)
class _Losses:
    """The penalised mean losses of P parts. rows: [N, R]; chosen: bool [N, P]; counts, penalties: [P]."""

    rows: Float64Array
    targets: IntArray
    chosen: BoolArray
    counts: IntArray
    penalties: Float64Array

    @classmethod
    def of(
        cls, features: Float32Array, rows: Float64Array, targets: IntArray, parts: Sequence[Part], scale: float
    ) -> "_Losses":
        chosen = np.stack([part.chosen for part in parts], axis=1)
        counts = chosen.sum(0)
        # A part has a variance of its own, by which its weights are penalised.
        scales = [float(features[part.chosen].std(ddof=1, dtype=np.float64)) or scale for part in parts]
        penalties = np.array([part.penalty for part in parts]) * (np.array(scales) / scale) ** 2 / counts
        return cls(rows, targets, chosen, counts, penalties)

    def __call__(self, which: IntArray, weights: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Of some of the parts [K]: losses [K] and gradients, at weights [K, R + 1, C] and of their shape."""
        kernels, chosen, counts = weights[:, :-1], self.chosen[:, which], self.counts[which]
        picture, part = np.arange(len(self.rows))[:, np.newaxis], np.arange(len(which))
        side_by_side = kernels.transpose(1, 0, 2).reshape(kernels.shape[1], -1)  # [R, K x C], for logs [N, K, C]
        logs = log_softmax((self.rows @ side_by_side).reshape(len(self.rows), *weights[:, -1].shape) + weights[:, -1])
        right = self.targets[:, np.newaxis]
        penalties = self.penalties[which]
        losses = -(logs[picture, part, right] * chosen).sum(0) / counts + penalties * (kernels**2).sum((1, 2))
        errors = np.exp(logs)
        errors[picture, part, right] -= 1
        errors *= (chosen / counts)[..., np.newaxis]
        slopes = (self.rows.T @ errors.reshape(len(errors), -1)).reshape(-1, *errors.shape[1:]).transpose(1, 0, 2)
        slopes += 2 * penalties[:, np.newaxis, np.newaxis] * kernels
        return losses, np.concatenate([slopes, errors.sum(0)[:, np.newaxis]], axis=1)
