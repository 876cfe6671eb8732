"""95 % intervals: of proportions by Wilson's formula, of everything else by resampling the pictures."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

# Standard normal quantile of a two-sided 95 % interval.
_Z95 = 1.959963984540054
_RESAMPLES = 1000


def wilson_interval(right: int, total: int) -> Interval:
    """95 % confidence interval of a proportion (Wilson 1927): honest for small sets and near 100 %."""
    if not total:
        return 0.0, 1.0
    share, z2 = right / total, _Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def resamples(total: int, *, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """Indices [total] of 1,000 samples with replacement (the bootstrap, Efron 1979); the same ones every time."""
    rng = np.random.default_rng(seed)
    for _ in range(_RESAMPLES):
        yield rng.integers(total, size=total)


def percentile_interval(values: NDArray[np.floating[Any]]) -> Interval:
    """The range of the middle 95 % of resampled values [R], NaN left out (Efron 1979); (0, 1) where nothing is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)
