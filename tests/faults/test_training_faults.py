"""What `train`, `export`, the cache and `identify --output` leave behind when they are killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn.files import opened_output
from tests.conftest import REPOSITORY


def outcomes_of_kills(folder: Path, *counts: str) -> list[str]:
    from dataset.drawing.draw import draw_dataset

    draw_dataset(folder / "data", per_class=6, size=40, seed=3)
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.kills", folder, *counts]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    outcomes = [outcome for kind in json.loads(done.stdout).values() for outcome in kind]
    wrong = [outcome for outcome in outcomes if outcome not in ("killed", "ended before")]
    assert not wrong, "\n".join(wrong) + done.stderr[-3000:]
    return outcomes


def test_an_output_removes_what_a_killed_one_left_and_nothing_that_is_in_use(tmp_path: Path) -> None:
    output = tmp_path / "answers.csv"
    others = [".answers.0123abcd.csv", ".answer.0123abcd.tmp.csv", ".answers.0123abcd.tmp.json", "answers.tmp.csv"]
    for name in [".answers.0123abcd.tmp.csv", *others]:
        (tmp_path / name).write_text("half")
    with opened_output(output) as first:
        (in_use,) = (path for path in tmp_path.iterdir() if path.name not in others)
        with opened_output(output) as second:
            assert in_use.exists()
            second.write("second")
        first.write("first")
    assert output.read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {*others, output.name}


@pytest.mark.long
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=2", "export=1", "cache=1", "identify=1")
    assert outcomes.count("killed") >= 4


@pytest.mark.long
def test_200_times_kill_9_at_random_and_chosen_moments(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=120", "export=30", "cache=20", "identify=30")
    assert len(outcomes) == 200 and outcomes.count("killed") >= 180
