"""What is said of a learning curve: forecasts where there is something to go by, and why there is none elsewhere."""

import numpy as np
import pytest

from fruitcnn.calibration.learning_curve import LearningCurve
from fruitcnn.evaluation.enough import Enough, describe
from tests.calibration.test_learning_curve import drawn_curve

LABELS = ["plum", "pear"]


def test_forecasts_go_to_three_times_the_pictures_and_name_the_class_that_gains_most() -> None:
    curve = drawn_curve(-0.5, seed=4)
    # Half of what is wrong of the first class is taken back.
    fewer = curve.wrong & ((curve.targets == 1) | (np.arange(400) % 4 == 0))
    found = Enough.of(LABELS, LearningCurve(curve.sizes, curve.tested, fewer, curve.targets, curve.groups))
    assert found.most_helped == "pear" and found.reason == "" and set(found.by_label) == set(LABELS)
    now, twice, thrice = found.overall
    assert now.value > twice.value > thrice.value
    text = "\n".join(describe(found))
    assert "    1,200  " in text and "of more than 1,200 nobody knows" in text
    assert "more pictures would help pear most" in text and text.count("->") == 2


def test_no_class_is_named_where_more_pictures_help_none() -> None:
    found = Enough.of(LABELS, drawn_curve(0.4, seed=3))
    assert set(found.by_label) == set(LABELS) and found.most_helped == ""
    assert "would help" not in "\n".join(describe(found))


@pytest.mark.parametrize(
    ("count", "right", "reason"), [(150, 0, "of 150 pictures"), (400, 396, " was wrong on 3 pictures alone")]
)
def test_no_forecast_is_made_of_too_few(count: int, right: int, reason: str) -> None:
    curve = drawn_curve(-0.5, seed=4, count=count)
    # Each of the others is wrong once.
    wrong = curve.wrong & (np.arange(count) >= right)
    if right:
        wrong[:, -1] |= curve.tested[:, -1] & (np.arange(count) >= right)
    found = Enough.of(LABELS, LearningCurve(curve.sizes, curve.tested, wrong, curve.targets, curve.groups))
    assert found.overall == [] and found.by_label == {} and reason in found.reason
    *_, last = describe(found)
    assert last == found.reason


def test_a_class_of_few_mistakes_is_not_forecast() -> None:
    curve = drawn_curve(-0.5, seed=6)
    found = Enough.of(
        LABELS,
        LearningCurve(curve.sizes, curve.tested, curve.wrong & (curve.targets == 0), curve.targets, curve.groups),
    )
    assert set(found.by_label) == {"plum"} and "pear  too few mistakes to say" in "\n".join(describe(found))
