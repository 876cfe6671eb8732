"""A network's last layer alone, fitted to convergence on features that are computed once (linear probing).

Minutes on a laptop: no gradient goes through the network, whose answers to a picture never change.
"""

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Head:
    """A Dense layer from features [N, D] to logits [N, C]: kernel [D, C], bias [C]."""

    kernel: Floats
    bias: Floats

    def logits(self, features: Floats) -> Floats:
        """Logits [N, C] of features [N, D]."""
        return features @ self.kernel + self.bias


def fit_head(features: Floats, targets: Indices, *, classes: int, penalty: float) -> Head:
    """Multinomial logistic regression of features [N, D] against class indices [N].

    penalty: what the squared weights (of features that were brought to unit variance, all by one factor) count beside
    the summed loss. Convex, in float64 by L-BFGS: the same answer whatever the start.
    """
    rows, wanted = torch.from_numpy(features).double(), torch.from_numpy(targets)
    centre, scale = rows.mean(0), float(rows.std()) or 1.0
    rows = (rows - centre) / scale
    weights = torch.zeros(rows.shape[1] + 1, classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(rows @ weights[:-1] + weights[-1], wanted)
        loss = loss + penalty * weights[:-1].square().sum() / len(rows)
        loss.backward()
        return loss

    optimizer.step(closure)
    kernel = weights.detach()[:-1] / scale
    bias = weights.detach()[-1] - centre @ kernel
    return Head(kernel.numpy().astype(np.float32), bias.numpy().astype(np.float32))


def assign_folds(targets: Indices, groups: Indices, *, folds: int, seed: int) -> Indices:
    """A fold 0..folds-1 for each of N pictures, stratified by class [N]; a group [N] of near-duplicates stays whole."""
    rng = np.random.default_rng(seed)
    names, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    chosen = np.zeros(len(names), np.int64)
    for label in np.unique(targets):
        # A group belongs to the class of its first picture. The large ones are dealt first, each to the emptiest fold.
        members = rng.permutation(np.flatnonzero(targets[first] == label))
        members = members[np.argsort(-sizes[members], kind="stable")]
        load = np.zeros(folds)
        # No class fills fold 0 first: small ones would all come to lie there.
        start = rng.permutation(folds)
        for member in members:
            fold = start[np.argmin(load[start])]
            chosen[member], load[fold] = fold, load[fold] + sizes[member]
    return chosen[np.searchsorted(names, groups)]


def held_out_logits(
    features: Floats, targets: Indices, folds: Indices, *, views: Floats | None, classes: int, penalty: float
) -> Floats:
    """Logits [N, C] of every picture by a head that was fitted without its fold.

    features: [N, D]; views: [N, D] of other views of the same pictures, which the heads learn from too.
    """
    logits = np.zeros((len(targets), classes), np.float32)
    for fold in np.unique(folds):
        seen = folds != fold
        parts = [features[seen]] if views is None else [features[seen], views[seen]]
        head = fit_head(np.concatenate(parts), np.tile(targets[seen], len(parts)), classes=classes, penalty=penalty)
        logits[~seen] = head.logits(features[~seen])
    return logits
