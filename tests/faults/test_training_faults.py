"""What `train`, `export`, the cache and `identify --output` leave behind when they are killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.long
def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=2", "export=1", "cache=1", "identify=1")
    assert outcomes.count("killed") >= 4


@pytest.mark.long
def test_200_times_kill_9_at_random_and_chosen_moments(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=120", "export=30", "cache=20", "identify=30")
    assert len(outcomes) == 200 and outcomes.count("killed") >= 180
