"""Conformal p-values keep their word for any number of pictures."""

import numpy as np
import pytest

from fruitcnn.calibration.conformal import LEVELS, conformal_knots, promised_share


def p_values(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.interp(new, conformal_knots(known), LEVELS)


@pytest.mark.parametrize("count", [4, 10, 19, 40, 136, 1000])
def test_new_members_are_refused_at_most_as_often_as_promised(count: int) -> None:
    """The mean over many sets of known pictures, whatever their distribution; by chance 0.003 off."""
    rng = np.random.default_rng(count)
    refused = []
    for _ in range(4000):
        known, new = (rng.standard_t(3, size) for size in (count, 20))
        refused.append((p_values(known, new) < 0.05).mean())
    assert np.mean(refused) <= promised_share(0.05, count) + 0.003
    if count >= 136:
        assert np.mean(refused) > 0.035, "and not much less often, where there are enough"


def test_it_is_one_more_than_those_below_by_one_more_than_all() -> None:
    known = np.random.default_rng(0).normal(size=199)
    new = np.sort(known)[[0, 4, 9, 50, 198]] + 1e-9
    ranks = np.array([1, 5, 10, 51, 199])
    assert np.allclose(p_values(known, new), (1 + ranks) / 200, atol=0.005)
    assert (p_values(known, new - 2e-9) >= ranks / 200 - 0.006).all()
    assert p_values(known, np.sort(known)[[98]])[0] == pytest.approx(0.5, abs=1e-4)


def test_what_is_stranger_than_all_known_ones_stays_so() -> None:
    known = np.linspace(0, 1, 50)
    p = p_values(known, np.array([-0.9, -0.5, -0.1, 0.0]))
    assert (np.diff(p) > 0).all() and p[0] > 0 and p[-2] < 1 / 51
    assert p_values(known, np.array([-9.0]))[0] == 0 and p_values(known, np.array([9.0]))[0] == 1


def test_equal_scores_and_a_single_one_have_rising_knots() -> None:
    for scores in (np.zeros(30), np.array([2.0]), np.array([1e6, 1e6])):
        knots = conformal_knots(scores)
        assert knots.dtype == np.float32 and (np.diff(knots) > 0).all() and np.isfinite(knots).all()


def test_what_can_be_promised() -> None:
    assert promised_share(0.05, 10) == pytest.approx(1 / 11) and promised_share(0.05, 19) == promised_share(0.05, 900)
