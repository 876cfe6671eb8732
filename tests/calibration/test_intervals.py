"""Intervals against published values."""

import numpy as np
import pytest

from fruitcnn.calibration.intervals import percentile_interval, wilson_interval


def test_wilson_interval_against_published_values() -> None:
    # Newcombe 1998, table I, method 3.
    for right, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(29, 29)[1] == 1.0


def test_percentile_interval_leaves_out_what_is_no_number() -> None:
    assert percentile_interval(np.array([np.nan, *range(1, 42)], float)) == (2, 40)
    assert percentile_interval(np.array([np.nan])) == (0, 1)
