"""Last layers that were fitted without a fold of the pictures each: they answer for it, and they answer together."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.calibration.held_out import Calibration, Features, Known, OutOfFold, calibrate_out_of_fold
from fruitcnn.calibration.linear_probe import Head, Heads, Part, fit_heads
from fruitcnn.calibration.softmax import log_softmax
from fruitcnn.calibration.temperature import fit_temperature

# Where a last layer learns without folds to choose by.
PENALTY = 5.0
# What the folds choose from. 1 to 100 were alike on photographs; drawn classes that are easy to tell want less.
PENALTIES = (0.2, 1.0, PENALTY)
# Penalised layers are made sharper by less penalty, not by a temperature below this.
LEAST_TEMPERATURE = 1.0
# Pictures a class from which the layers of the folds agree so well that the mean of their answers is better than one
# layer that has learned from all: with fewer it is less sure than right (benchmarks/sets.py).
_ENOUGH = 100
# Of fewer pictures a fifth is missed: what learns from nine tenths of them answers nearly as what learns from all.
_MORE_FOLDS, _FEW = 10, 500
# Numbers that the layers of all folds may have together.
_MOST = 4_000_000


def fold_count(pictures: int, folds: int) -> int:
    """How many folds there are where a recipe wants `folds`: ten at least of few pictures."""
    return max(folds, _MORE_FOLDS) if pictures < _FEW else folds


@dataclasses.dataclass(frozen=True)
class FoldHeads:
    """heads: what answers new pictures; logits: of the known ones [N, C], each by a layer fitted without it."""

    heads: Heads
    logits: Float32Array
    penalty: float


def fit_fold_heads(
    features: Float32Array,
    targets: IntArray,
    folds: IntArray,
    *,
    views: Float32Array | None,
    classes: int,
    penalty: float | None,
) -> FoldHeads:
    """Fit a layer without each fold on features [N, D], class indices [N] and folds [N].

    views: [N, D] of other views of the same pictures, which the layers learn from too. penalty: None for the one of
    PENALTIES whose answers out of fold are the best.
    """
    data = _Data(features, targets, views, classes)
    tried = _fit(data, folds, PENALTIES if penalty is None else (penalty,))
    found = min(tried, key=lambda one: _loss(one.logits, targets)) if len(tried) > 1 else tried[0]
    together = len(found.heads.members) * found.heads.members[0].kernel.size <= _MOST
    if together and np.bincount(targets, minlength=classes).min() >= _ENOUGH:
        return found
    everything = Part(np.ones(len(targets), bool), found.penalty)
    return dataclasses.replace(found, heads=Heads(tuple(data.fit([everything]))))


def calibrate_fold_heads(
    features: Features, known: Known, folds: IntArray, fitted: FoldHeads, *, seed: int
) -> Calibration:
    """What makes the answers of last layers honest that were fitted on these features, pictures and folds [N]."""
    answered = OutOfFold(folds, fitted.logits, [features] * (int(folds.max()) + 1))
    return calibrate_out_of_fold(features, known, answered, at_least=LEAST_TEMPERATURE, seed=seed)


@dataclasses.dataclass(frozen=True)
class _Data:
    """See `fit_fold_heads`."""

    features: Float32Array
    targets: IntArray
    views: Float32Array | None
    classes: int

    def fit(self, parts: Sequence[Part]) -> list[Head]:
        """A layer for each part of the pictures and their views."""
        rows = [self.features] if self.views is None else [self.features, self.views]
        chosen = [Part(np.tile(part.chosen, len(rows)), part.penalty) for part in parts]
        return fit_heads(np.concatenate(rows), np.tile(self.targets, len(rows)), chosen, classes=self.classes)


def _fit(data: _Data, folds: IntArray, penalties: Sequence[float]) -> list[FoldHeads]:
    # Whoever never met a class can't answer for it: the only picture of one is in no fold's way.
    alone = np.bincount(data.targets, minlength=data.classes)[data.targets] == 1
    left_out = [folds == fold for fold in np.unique(folds)]
    heads = iter(data.fit([Part(~out | alone, penalty) for penalty in penalties for out in left_out]))
    found = []
    for penalty in penalties:
        members = tuple(itertools.islice(heads, len(left_out)))
        logits = np.zeros((len(folds), data.classes), np.float32)
        for out, member in zip(left_out, members, strict=True):
            logits[out] = member.logits(data.features[out])
        found.append(FoldHeads(Heads(members), logits, penalty))
    return found


def _loss(logits: Float32Array, targets: IntArray) -> float:
    """The mean negative log-likelihood of calibrated logits [N, C]."""
    temperature = max(LEAST_TEMPERATURE, fit_temperature(logits, targets))
    logs = log_softmax(logits.astype(np.float64) / temperature)
    return -float(logs[np.arange(len(targets)), targets].mean())
