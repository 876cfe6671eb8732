"""What more pictures would bring: the fit follows a known law, its range holds the truth, and nothing leaks."""

import numpy as np
import pytest

from fruitcnn.calibration.learning_curve import LearningCurve, measure_curve

SIZES = np.array([80, 108, 140, 184, 244, 320])


def drawn_curve(exponent: float, *, seed: int, count: int = 400) -> LearningCurve:
    """Pictures whose errors fall with size**exponent from 20 % at 80, each picture as hard as it is every time."""
    rng = np.random.default_rng(seed)
    errors = 0.2 * (SIZES / SIZES[0]) ** exponent
    hardness = rng.uniform(size=count)
    tested = np.array([[rng.permutation(count) >= size for size in SIZES] for _ in range(10)])
    noise = rng.uniform(size=tested.shape) < 0.5
    wrong = tested & (np.where(noise, rng.uniform(size=tested.shape), hardness) < errors[:, None])
    return LearningCurve(SIZES, tested, wrong, np.arange(count) % 2, np.arange(count))


def test_the_law_that_the_errors_follow_is_found_and_its_range_holds_the_truth() -> None:
    held, values = 0, []
    for seed in range(10):
        ((found,),) = drawn_curve(-0.5, seed=seed).forecasts(np.array([1200.0]))
        truth = 0.2 * (1200 / 80) ** -0.5
        held += found.low <= truth <= found.high
        assert found.low < found.value < found.high
        values.append(found.value)
    assert held >= 7 and abs(np.mean(values) / truth - 1) < 0.2


def test_errors_that_do_not_fall_are_not_forecast_to() -> None:
    flat, rising = (drawn_curve(exponent, seed=3).forecasts(np.array([400.0, 1200.0]))[0] for exponent in (0.0, 0.4))
    for now, later in (flat, rising):
        assert later.value <= now.value and later.value > 0.8 * now.value
    assert rising[0].value == pytest.approx(rising[1].value), "more pictures make nothing worse"


def test_no_mistake_is_not_taken_for_no_error() -> None:
    curve = drawn_curve(-0.5, seed=1)
    sure = LearningCurve(curve.sizes, curve.tested, np.zeros_like(curve.wrong), curve.targets, curve.groups)
    assert sure.mistakes() == 0 and (sure.errors() > 0).all() and sure.forecasts(np.array([400.0]))[0][0].value > 0


def test_forecasts_of_classes_are_those_of_their_pictures_alone() -> None:
    curve = drawn_curve(-0.5, seed=8)
    at = np.array([400.0, 1200.0])
    together, first, second = curve.forecasts(at, [None, 0, 1])
    assert [together, second] == curve.forecasts(at, [None, 1]) and first != second
    # Both classes with one another's answers.
    swapped = LearningCurve(curve.sizes, curve.tested, curve.wrong, 1 - curve.targets, curve.groups)
    assert swapped.forecasts(at, [1, 0]) == [first, second]


def test_classes_are_judged_by_their_own_pictures() -> None:
    curve = drawn_curve(-0.5, seed=2)
    wrong = curve.wrong & (curve.targets == 1)
    curve = LearningCurve(curve.sizes, curve.tested, wrong, curve.targets, curve.groups)
    assert curve.mistakes(0) == 0 < curve.mistakes(1) == curve.mistakes()
    assert (curve.errors(0) < curve.errors()).all() and (curve.errors() < curve.errors(1)).all()


def test_nothing_is_judged_that_was_learned_from_or_has_a_near_duplicate_there() -> None:
    """Pairs of equal features with labels by chance: whoever knows one of a pair knows the other, else a coin does."""
    rng = np.random.default_rng(5)
    features = np.repeat(rng.normal(size=(101, 40)), 2, axis=0).astype(np.float32)
    targets, groups = np.repeat(rng.integers(2, size=101), 2), np.repeat(np.arange(101), 2)
    curve = measure_curve(features, targets, groups, penalty=0.01, seed=0)
    assert not (curve.wrong & ~curve.tested).any()
    # Of a pair that is torn apart, one is learned from and neither is judged.
    assert (curve.sizes % 2).any() and (curve.tested.sum(2) == 202 - curve.sizes - curve.sizes % 2).all()
    assert (np.abs(curve.errors() - 0.5) < 0.15).all()
    again = measure_curve(features, targets, groups, penalty=0.01, seed=0)
    assert np.array_equal(curve.wrong, again.wrong)
