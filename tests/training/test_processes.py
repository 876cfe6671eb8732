"""Several processes that train one network under torchrun: as one would, stopped together, gone on with by one."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fruitcnn import checkpoint
from fruitcnn.ranks import Ranks
from fruitcnn.training.augmentation import Part, augment
from fruitcnn.training.last_checkpoint import LAST
from tests.conftest import REPOSITORY, TINY

SETTINGS = [word for setting in TINY for word in ("--set", setting)]


def torchrun(count: int, *words: object, cwd: Path) -> subprocess.Popen[str]:
    """`torchrun -m ...` in a process group of its own."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([*line, *map(str, words)], cwd=cwd, env=environment, text=True, stdout=pipe, stderr=pipe)


def epochs(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    file = run / checkpoint.METRICS_BY_EPOCH
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.exists() else []


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / LAST, weights_only=True)["state_dict"]
    return state


def relative_difference(run: Path, other: Path) -> float:
    pairs = [(value.double(), weights(other)[name].double()) for name, value in weights(run).items()]
    apart = sum(float((one - two).square().sum()) for one, two in pairs)
    return float((apart / sum(float(one.square().sum()) for one, _ in pairs)) ** 0.5)


def fruitcnn_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("fruitcnn: ")]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("whole", [1, 7, 64])
def test_parts_are_the_whole_and_as_large_as_each_other(count: int, whole: int) -> None:
    parts = [list(range(whole))[Ranks(rank, count).part(whole)] for rank in range(count)]
    assert [row for part in parts for row in part] == list(range(whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_picture_has_the_same_view_wherever_its_batch_was_divided() -> None:
    from fruitcnn import load_config

    config = load_config("fruit_net").augment
    pixels = torch.randint(0, 256, (7, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    whole = augment(pixels, config, size=16)
    for rank in range(2):
        rows = Ranks(rank, 2).part(7)
        torch.manual_seed(1)
        assert torch.allclose(augment(pixels[rows], config, size=16, part=Part(7, rows)), whole[rows], atol=1e-3)


def test_two_processes_learn_what_one_does_to_ten_digits(tmp_path: Path) -> None:
    """Gradients, optimizer and moving statistics, in float64, with parts of different sizes."""
    alone, both = tmp_path / "alone.pt", tmp_path / "both.pt"
    words = [sys.executable, "-m", "tests.training.ranked_steps", str(alone)]
    subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True)
    process = torchrun(2, "tests.training.ranked_steps", both, cwd=REPOSITORY)
    assert process.communicate(timeout=300) and process.returncode == 0
    one, two = torch.load(alone), torch.load(both)
    assert one[0].dtype == torch.float64
    assert max(float((a - b).abs().max()) for a, b in zip(one, two, strict=True)) <= 1e-10


@pytest.mark.long
def test_a_training_by_two_processes_is_that_of_one(finished: Path, drawn: Path, tmp_path: Path) -> None:
    """The same epochs, and one voice. `finished` is the same recipe in one process."""
    process = torchrun(2, "fruitcnn", "train", drawn, "-r", "quick", *SETTINGS, cwd=tmp_path)
    said, complaints = process.communicate(timeout=300)
    assert process.returncode == 0 and not fruitcnn_lines(complaints), complaints
    assert said.count("finished: ") == 1 and said.count("training fruit_net") == 1
    run = tmp_path / "checkpoints" / "quick"
    for one, two in zip(epochs(finished), epochs(run), strict=True):
        assert one["train_accuracy"] == two["train_accuracy"] and one["learning_rate"] == two["learning_rate"]
        assert abs(float(one["train_loss"]) - float(two["train_loss"])) < 1e-3
        assert abs(float(one["validation_loss"]) - float(two["validation_loss"])) < 1e-2
    # A change of threads makes 6.5e-3 of it in this recipe.
    assert relative_difference(finished, run) < 2e-3


@pytest.mark.long
def test_more_processes_than_pictures_of_a_batch_are_refused(drawn: Path, tmp_path: Path) -> None:
    words = ["train", drawn, "-r", "quick", *SETTINGS, "--set", "train.batch_size=2"]
    process = torchrun(3, "fruitcnn", *words, cwd=tmp_path)
    _, complaints = process.communicate(timeout=300)
    assert process.returncode and len(fruitcnn_lines(complaints)) == 1
    assert "3 processes: a batch has 2 pictures; start at most 2 processes" in complaints


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 4])
def test_a_stopped_training_by_several_says_it_once_and_one_goes_on(count: int, drawn: Path, tmp_path: Path) -> None:
    words = ["train", drawn, "-r", "quick", *SETTINGS, "--epochs", "12"]
    run = tmp_path / "checkpoints" / "quick"
    process = torchrun(count, "fruitcnn", *words, cwd=tmp_path)
    wait_for(lambda: len(epochs(run)) >= 2, process)
    process.send_signal(signal.SIGTERM)
    _, complaints = process.communicate(timeout=60)
    [line] = fruitcnn_lines(complaints)
    assert "stopped after" in line and "of 12 epochs" in line and "internal" not in complaints
    words = [sys.executable, "-m", "fruitcnn", *map(str, words), "--resume"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and len(epochs(run)) == 12


@pytest.mark.long
def test_a_killed_process_ends_all_with_one_line(drawn: Path, tmp_path: Path) -> None:
    process = torchrun(2, "fruitcnn", "train", drawn, "-r", "quick", *SETTINGS, "--epochs", "200", cwd=tmp_path)
    run = tmp_path / "checkpoints" / "quick"
    wait_for((run / LAST).exists, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    second = next(pid for pid in children if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{pid}/environ").read_bytes())
    os.kill(int(second), signal.SIGKILL)
    _, complaints = process.communicate(timeout=60)
    [line] = fruitcnn_lines(complaints)
    assert process.returncode and "another process of this training has ended" in line
    assert (run / LAST).exists()
