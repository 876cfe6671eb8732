"""How much a picture is like those that a network was trained on, as an honest p-value.

The score adds, each in units of its spread: the likeness to prototypes of the classes (k-means centres of the unit
features; a log-sum-exp of the scaled cosines counts the nearest few); the energy, the log-sum-exp of the logits (Liu
et al. 2020); and, where pictures of other things were given, a gate, one logistic unit that tells members from those.
A conformal p-value is made of it (`fruitcnn.calibration.conformal`), on scores of pictures that neither the prototypes
nor the gate were made from.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fruitcnn.arrays import Float32Array, Float64Array, FloatArray, IntArray
from fruitcnn.calibration.conformal import LEVELS, conformal_knots
from fruitcnn.calibration.minimize import minimize
from fruitcnn.calibration.softmax import log_sum_exp

# 20 to 40 times the cosines do as well as the mean of the nearest three, and need no sorting.
SHARPNESS = 30.0
# Of likeness, energy and gate. What a gate learns of a few hundred outside pictures does not carry over to all others,
# so it counts half: a class held out as "another fruit" is told better with it for two of the three fruits.
_FACTORS = (1.0, 1.0, 0.5)
# Penalty on the gate's weights, for unit-variance features.
_GATE_L2 = 5.0


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """A fitted score and its distribution over known pictures.

    prototypes: unit vectors [K, D]; factors: what likeness and energy are multiplied by; gate, gate_bias: weights [D]
    and offset that are added (all zero where there were no outside pictures); knots: scores [Q], rising, at which the
    distribution takes the values LEVELS [Q].
    """

    prototypes: Float32Array
    factors: tuple[float, float]
    gate: Float32Array
    gate_bias: float
    knots: Float32Array

    def score(self, features: Float32Array, logits: Float32Array) -> Float32Array:
        """Scores [N] of features [N, D] and calibrated logits [N, C]."""
        likeness = likeness_to(self.prototypes, features)
        return _float32(
            self.factors[0] * likeness
            + self.factors[1] * log_sum_exp(logits)
            + features.astype(np.float64) @ self.gate
            + self.gate_bias
        )

    def p_value(self, scores: Float32Array) -> Float32Array:
        """Conformal p-values [N], 0 to 1: a share x of new members, or less, is below x."""
        return _float32(np.interp(scores, self.knots, LEVELS))


@dataclasses.dataclass(frozen=True)
class FoldScores:
    """Likeness and gate of pictures [N], each by prototypes and a gate that were made without it.

    groups: int [N], equal for near-duplicates, which count as one picture: a promise of new members is made of scores
    that know nothing of each other, as theirs will not.
    """

    likeness: Float32Array
    gate: Float32Array
    groups: IntArray | None = None


def fit_familiarity(
    features: Float32Array,
    targets: IntArray,
    held_out: FoldScores,
    logits: Float32Array,
    *,
    outside: Float32Array | None = None,
    seed: int = 0,
) -> Familiarity:
    """Fit on features [N, D] with class indices [N]; calibrate on `held_out` and calibrated held-out logits [M, C].

    outside: features [O, D] of pictures that are no members.
    """
    energy = log_sum_exp(logits)
    gated = outside is not None and bool(np.std(held_out.gate))
    spreads = [float(np.std(part)) or 1.0 for part in (held_out.likeness, energy, held_out.gate)]
    likeness_factor, energy_factor, gate_factor = (
        factor / spread for factor, spread in zip(_FACTORS, spreads, strict=True)
    )
    scores = likeness_factor * held_out.likeness + energy_factor * energy
    gate, bias = np.zeros(features.shape[1], np.float32), 0.0
    if gated and outside is not None:
        scores = scores + gate_factor * held_out.gate
        gate, bias = fit_gate(features, outside)
        gate, bias = _float32(gate * gate_factor), bias * gate_factor
    knots = conformal_knots(scores if held_out.groups is None else _one_a_group(scores, held_out.groups))
    return Familiarity(prototypes(features, targets, seed=seed), (likeness_factor, energy_factor), gate, bias, knots)


def _one_a_group(scores: FloatArray, groups: IntArray) -> FloatArray:
    """The median score of each group: [G] of scores and groups [N]."""
    return np.array([np.median(scores[groups == group]) for group in np.unique(groups)])


def held_out_scores(
    features: Sequence[Float32Array],
    targets: IntArray,
    folds: IntArray,
    *,
    outside: Sequence[Float32Array] | None = None,
    seed: int = 0,
) -> FoldScores:
    """Score every picture by the pictures of the other folds.

    features: [N, D] a fold, as the network sees them that was trained without it (the same one throughout where it
    was not trained on any of them); targets, folds: [N]; outside: [O, D] a fold, likewise.
    """
    likeness, gate = np.zeros(len(targets), np.float32), np.zeros(len(targets), np.float32)
    for fold in np.unique(folds):
        seen, new, rows = folds != fold, folds == fold, features[fold]
        others = None if outside is None else outside[fold]
        scores = new_scores(rows[seen], targets[seen], rows[new], outside=others, seed=seed)
        likeness[new], gate[new] = scores.likeness, scores.gate
    return FoldScores(likeness, gate)


def new_scores(
    features: Float32Array, targets: IntArray, new: Float32Array, *, outside: Float32Array | None = None, seed: int = 0
) -> FoldScores:
    """Score new pictures, features [M, D], by others: features [N, D], class indices [N], outside [O, D]."""
    likeness = likeness_to(prototypes(features, targets, seed=seed), new)
    if outside is None:
        return FoldScores(likeness, np.zeros(len(new), np.float32))
    weights, bias = fit_gate(features, outside)
    return FoldScores(likeness, new @ weights + np.float32(bias))


def prototypes(features: Float32Array, targets: IntArray, *, seed: int) -> Float32Array:
    """Unit vectors [K, D]: spherical k-means centres (Dhillon and Modha 2001) of each class's unit features."""
    rng = np.random.default_rng(seed)
    classes = np.unique(targets)
    most = max(1, min(42, 2048 // len(classes)))
    members = (unit(features[targets == label]) for label in classes)
    return np.concatenate([_k_means(rows, max(1, min(most, len(rows) // 8)), rng) for rows in members])


def likeness_to(prototypes: Float32Array, features: Float32Array) -> Float32Array:
    """Soft maximum [N] of the cosines of features [N, D] with prototypes [K, D]."""
    return _float32(log_sum_exp(SHARPNESS * unit(features) @ prototypes.T) / SHARPNESS)


def fit_gate(members: Float32Array, outside: Float32Array) -> tuple[Float32Array, float]:
    """Weights [D] and bias of a penalised logistic regression, members [N, D] against outside [O, D], weighed alike."""
    inside, out = (rows.astype(np.float64) for rows in (members, outside))
    centre, scale = inside.mean(0), float(inside.std(ddof=1)) or 1.0
    inside, out = (inside - centre) / scale, (out - centre) / scale

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        gate, bias = weights[:-1], weights[-1]
        against_inside, against_out = -inside @ gate - bias, out @ gate + bias  # [N], [O]
        penalty = _GATE_L2 * gate @ gate / len(inside)
        value = np.logaddexp(0, against_inside).mean() + np.logaddexp(0, against_out).mean() + penalty
        pull, push = -_sigmoid(against_inside) / len(inside), _sigmoid(against_out) / len(out)
        slope = pull @ inside + push @ out + 2 * _GATE_L2 * gate / len(inside)
        return float(value), np.append(slope, pull.sum() + push.sum())

    weights = minimize(loss, np.zeros(inside.shape[1] + 1))
    gate = weights[:-1] / scale
    return _float32(gate), float(weights[-1] - gate @ centre)


def _sigmoid(values: Float64Array) -> Float64Array:
    return np.exp(-np.logaddexp(0, -values))


def unit(features: Float32Array) -> Float32Array:
    """Rows [N, D] scaled to length 1."""
    return _float32(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6))


def _k_means(rows: Float32Array, count: int, rng: np.random.Generator) -> Float32Array:
    centres = rows[rng.choice(len(rows), count, replace=False)]
    nearest = np.full(len(rows), -1)
    for _ in range(25):
        before, nearest = nearest, (rows @ centres.T).argmax(axis=1)
        if np.array_equal(nearest, before):
            break
        # A centre that lost all its rows stays where it was.
        sums = np.stack([rows[nearest == k].sum(0) if (nearest == k).any() else centres[k] for k in range(count)])
        centres = unit(sums)
    return centres


def _float32(values: FloatArray) -> Float32Array:
    return np.ascontiguousarray(values, dtype=np.float32)
