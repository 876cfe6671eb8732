"""Conformal p-values (Vovk, Gammerman and Shafer 2005): honest for any number of pictures, whatever the score.

Of n known pictures and a new one, all alike and none of them learned from, each place of the new score among the others
is as likely: (1 + how many of them are below it) / (n + 1) is below x for at most a share x of new pictures.
"""

import numpy as np

from fruitcnn.arrays import Float32Array, FloatArray

# Levels of the p-value whose scores are kept, close where decisions are made.
LEVELS = np.concatenate([np.linspace(0, 0.1, 21), np.linspace(0.125, 1, 36)])


def conformal_knots(scores: FloatArray) -> Float32Array:
    """The scores [Q], rising, at which the p-value takes the values LEVELS [Q]. scores: of known pictures [N].

    Between two known scores it rises in a straight line to the place of the upper one, never below its own step. Below
    all of them, where the p-value proper is 1 / (N + 1) and no more is known, it falls to 0 within as much as lies
    between the least and the most familiar one: what is stranger still stays so.
    """
    ordered = np.sort(scores.astype(np.float64))
    count, spread = len(ordered), float(ordered[-1] - ordered[0])
    lower = ordered[: max(2, -(-count // 4))]
    gap = float(lower[-1] - lower[0]) / (len(lower) - 1) if count > 1 else 0.0
    known = np.concatenate([[ordered[0] - gap - spread, ordered[0] - gap], ordered])
    knots = np.interp(LEVELS * (count + 1) - 1, np.arange(-1, count + 1), known)
    # Equal scores would make a step that no straight line has: neighbours lie a little apart, in float32 too.
    apart = max(1e-4 * float(knots[-1] - knots[0]), 1e-6 * float(np.abs(knots).max()), 1e-9) * np.arange(len(knots))
    rising: Float32Array = (np.minimum.accumulate((knots - apart)[::-1])[::-1] + apart).astype(np.float32)
    return rising


def promised_share(level: float, count: int) -> float:
    """The share of new members that are at most below a level, where so many known ones were there to say so."""
    return max(level, 1 / (count + 1))
