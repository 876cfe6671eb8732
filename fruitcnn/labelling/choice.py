"""Which of many pictures a model learns most from: those that it can hardly decide, and no two that are alike.

The smallest margin between the two likeliest classes (Scheffer et al. 2001), spread over what the network makes of the
pictures by a farthest-first traversal (Gonzalez 1985) whose distances count the more the smaller a margin is. With
benchmarks/label_next.py margins alone do as well on photographs; of a burst they would choose all frames.
"""

import numpy as np

from fruitcnn.arrays import Float32Array, FloatArray, IntArray

# So many times the pictures that are wanted are looked at for a spread.
_CANDIDATES = 4


def margins(probabilities: FloatArray) -> FloatArray:
    """How far the likeliest class is ahead of the next, [N] of [N, C]: 0 where a model can't decide, 1 at most."""
    if probabilities.shape[1] < 2:
        return np.ones(len(probabilities))
    first_two = np.partition(probabilities, -2, axis=1)[:, -2:]
    found: FloatArray = first_two[:, 1] - first_two[:, 0]
    return found


def choose(scores: FloatArray, vectors: Float32Array, groups: IntArray, count: int) -> IntArray:
    """The indices of up to `count` of N pictures with small scores [N], from 0 to 1; the smallest score comes first.

    vectors: unit vectors [N, K], alike for pictures that are. groups: [N], equal for near-duplicates: of a group a
    second one is taken only when no other group has a first one left.
    """
    ranked = np.argsort(scores, kind="stable")
    is_first = np.zeros(len(ranked), bool)
    is_first[np.unique(groups[ranked], return_index=True)[1]] = True
    ranked = np.concatenate([ranked[is_first], ranked[~is_first]])
    candidates = ranked[: min(int(is_first.sum()), _CANDIDATES * count)]
    spread = candidates[farthest_first(vectors[candidates], 1 - scores[candidates], count)]
    more = ranked[len(candidates) :][: count - len(spread)]
    chosen = np.concatenate([spread, more])
    return chosen[np.argsort(scores[chosen], kind="stable")]


def farthest_first(vectors: Float32Array, weights: FloatArray, count: int) -> IntArray:
    """Up to `count` indices of unit vectors [N, K]: the first, then always the farthest from all before it.

    weights: [N], what the distances are multiplied by.
    """
    chosen = np.zeros(min(count, len(vectors)), np.int64)
    distances = np.full(len(vectors), np.inf)  # to the nearest of those chosen, 1 - cosine
    for number in range(1, len(chosen)):
        before = chosen[number - 1]
        distances = np.minimum(distances, np.maximum(1 - vectors @ vectors[before], 0))
        worth = weights * distances
        worth[chosen[:number]] = -1
        chosen[number] = worth.argmax()
    return chosen
