"""Intervals against published values."""

import numpy as np
import pytest

from fruitcnn.calibration.intervals import OF_NOTHING, f1_interval, mean_interval, percentile_interval, wilson_interval


def test_wilson_interval_against_published_values() -> None:
    # Newcombe 1998, table I, method 3.
    for right, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(29, 29)[1] == 1.0


def test_percentile_interval_leaves_out_what_is_no_number() -> None:
    assert percentile_interval(np.array([np.nan, *range(1, 42)], float)) == (2, 40)
    assert percentile_interval(np.array([np.nan])) == (0, 1)


@pytest.mark.parametrize(("shares", "totals"), [((0.9, 0.7), (12, 50)), ((0.97, 0.99, 0.9), (20, 30, 40))])
def test_the_mean_of_proportions_lies_where_it_is_said_to(shares: tuple[float, ...], totals: tuple[int, ...]) -> None:
    rng, truth, held = np.random.default_rng(1), float(np.mean(shares)), 0
    for _ in range(2000):
        right = rng.binomial(totals, shares).tolist()
        pairs = list(zip(right, totals, strict=True))
        low, high = mean_interval([one / total for one, total in pairs], [wilson_interval(*pair) for pair in pairs])
        held += low <= truth <= high
    assert 0.92 < held / 2000 < 0.985


def test_the_f1_of_a_class_lies_where_it_is_said_to() -> None:
    rng, held = np.random.default_rng(2), 0
    # 30 pictures of a class, 70 of another; 90 % and 95 % are answered rightly.
    truth = 2 * 0.3 * 0.9 / (0.3 + 0.3 * 0.9 + 0.7 * 0.05)
    for _ in range(2000):
        support = rng.binomial(100, 0.3)
        right, false = rng.binomial(support, 0.9), rng.binomial(100 - support, 0.05)
        low, high = f1_interval(int(right), int(support), int(right + false))
        held += low <= truth <= high
    assert 0.93 < held / 2000 < 0.985


def test_nothing_is_known_of_nothing() -> None:
    assert wilson_interval(0, 0) == f1_interval(0, 0, 0) == OF_NOTHING == (0.0, 1.0)
