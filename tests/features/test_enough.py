"""What `fruitcnn dataset enough` says: forecasts where there is something to go by, and why there is none elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from fruitcnn.calibration.learning_curve import LearningCurve
from fruitcnn.features.enough import Enough, describe
from tests.calibration.test_learning_curve import drawn_curve
from tests.conftest import Run

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


def test_the_command_measures_a_folder(cli: Run, drawn: Path, tmp_path: Path) -> None:
    done = cli("dataset", "enough", drawn)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.startswith("48 pictures of 3 classes") and "of 48 pictures no forecast can be made" in done.stdout
    )
    assert len([line for line in done.stdout.splitlines() if line.endswith("%")]) == 6
    few = tmp_path / "few.csv"
    few.write_text("file,label\n" + "".join(f"{path},{path.parent.name}\n" for path in drawn.glob("*/*_00[0-2].jpg")))
    done = cli("dataset", "enough", few)
    assert done.returncode == 1 and "fewer than five pictures of grape" in done.stderr
    assert cli("dataset", "enough", "nowhere").returncode == 1
