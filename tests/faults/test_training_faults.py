"""What `train`, `export`, the cache and `identify --output` leave behind when they are killed."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dataset.drawing.draw import draw_dataset
from fruitcnn import load_config
from fruitcnn.outputs import opened_output, written_whole
from fruitcnn.runs.folder import Claim, claimed_run
from tests.conftest import REPOSITORY
from tests.faults.conftest import Command


def outcomes_of_kills(folder: Path, *counts: str) -> list[str]:
    draw_dataset(folder / "data", per_class=6, size=40, seed=3)
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults.kills", folder, *counts]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=10_800)
    assert done.returncode == 0, done.stderr
    outcomes = [outcome for kind in json.loads(done.stdout).values() for outcome in kind]
    wrong = [outcome for outcome in outcomes if outcome not in ("killed", "ended before")]
    assert not wrong, "\n".join(wrong) + done.stderr[-3000:]
    return outcomes


def test_an_output_removes_what_a_killed_one_left_and_nothing_that_is_in_use(tmp_path: Path) -> None:
    output = tmp_path / "answers.csv"
    others = [".answers.0123abcd.csv", ".answers.0123abcd.tmp.csv", "answers.fruitcnn-tmp.csv"]
    others += [".answer.0123abcd.fruitcnn-tmp.csv", ".answers.0123abcd.fruitcnn-tmp.json"]
    for name in [".answers.0123abcd.fruitcnn-tmp.csv", *others]:
        (tmp_path / name).write_text("half")
    with written_whole(output) as in_use, opened_output(output, force=True) as file:
        assert in_use.exists()
        file.write("first")
    assert {path.name for path in tmp_path.iterdir()} == {*others, output.name}


def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=2", "export=1", "cache=1", "identify=1")
    assert outcomes.count("killed") >= 4


@pytest.mark.long
def test_200_times_kill_9_at_random_and_chosen_moments(tmp_path: Path) -> None:
    outcomes = outcomes_of_kills(tmp_path, "train=100", "features=20", "export=30", "cache=20", "identify=30")
    assert len(outcomes) == 200 and outcomes.count("killed") >= 180


def test_a_full_disk_in_the_middle_of_a_training(command: Command, tmp_path: Path) -> None:
    draw_dataset(tmp_path / "data", per_class=6, size=40, seed=3)
    runs = tmp_path / "checkpoints"
    runs.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", runs], capture_output=True).returncode:
        pytest.skip("a small disk may not be mounted here")
    try:
        settings = [word for setting in ("data.size=32", "train.epochs=1") for word in ("--set", setting)]
        words = ["train", "data", "-r", "quick", "--name", "full", *settings]
        (tmp_path / "elsewhere").mkdir()
        done = command(*words, environment={"TMPDIR": str(tmp_path / "elsewhere")})
        assert done.returncode == 1 and not list((tmp_path / "elsewhere").glob("tmp*"))
        assert "last.ckpt: the disk is full; make room" in done.stderr and len(done.stderr.splitlines()) == 1
        assert not list((runs / "full").glob(".*tmp*")) and not (runs / "full" / "last.ckpt").exists()
        # The same command may begin again.
        config = load_config("quick", settings[1::2], data=tmp_path / "data")
        with claimed_run(config, Claim(name="full", root=runs)) as folder:
            assert folder == runs / "full"
    finally:
        subprocess.run(["umount", runs], check=True)


def test_a_finished_run_says_how_to_train_it_further(
    command: Command, finished: Path, drawn: Path, tmp_path: Path
) -> None:
    """What it says works, from a folder with a blank in its name, too."""
    shutil.copytree(finished, tmp_path / "checkpoints" / "well done")
    run = ("train", drawn, "-r", "quick", "--size", "32", "--epochs", "1")
    done = command(*run, "--resume", "--name", "well done")
    assert done.returncode == 2 and "checkpoints/well done: is finished already; to train it further" in done.stderr
    setting = shlex.split(done.stderr.strip().rpartition(": ")[2])
    assert setting == ["--set", "model.weights=checkpoints/well done"]
    further = command(*run, *setting, "--name", "further")
    assert further.returncode == 0 and "finished: checkpoints/further" in further.stdout, further.stderr


def test_a_size_that_the_recipes_network_can_not_take(command: Command, drawn: Path, tmp_path: Path) -> None:
    """The remedy is one that it takes."""
    line = ["train", drawn, "-r", "fruit_net", "--epochs", "1", "--set", "data.calibration_folds=0"]
    refused = command(*line, "--size", "40")
    assert refused.returncode == 2, refused.stderr
    reason = "Inputs have incompatible shapes. Received shapes (3, 3, 256) and (2, 2, 256)"
    told = f"fruitcnn: fruit_net: can't be built for pictures of 40 px ({reason}); set data.size=64\n"
    assert refused.stderr.endswith(told)
    assert not list(tmp_path.rglob("*.yaml")), "nothing was begun"
    assert command(*line, "--size", "64").returncode == 0
