"""Small real things for the tests: a drawn data set, a finished run, and the photographs where they are at hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PHOTOGRAPHS = REPOSITORY.parent / "shared" / "dataset"

# Small enough for seconds, whole enough to walk every stage.
TINY = ["data.size=32", "train.epochs=2", "train.batch_size=8"]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded pixels go to a folder of the test session, for the processes that it starts too."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["FRUITCNN_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The real photographs; tests that ask for them skip where they are not."""
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("the real photographs are not beside this repository")
    return PHOTOGRAPHS


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn data set of 3 x 16 pictures."""
    from dataset.drawing.draw import draw_dataset

    folder = tmp_path_factory.mktemp("data") / "drawn"
    draw_dataset(folder, per_class=16, size=48, seed=7)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """The checkpoint directory of a short finished run of fruit_net on the drawn set."""
    from fruitcnn import load_config
    from fruitcnn.runs.folder import Claim
    from fruitcnn.runs.stages import train_config

    root = tmp_path_factory.mktemp("runs")
    config = load_config("quick", TINY, data=drawn)
    return train_config(config, Claim(root=root), device="cpu", print_line=lambda line: None)


def skip_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on trainings write no model and no report: only what they answer, without most of a short one's time."""
    for name in ("export_run", "_write_report"):
        monkeypatch.setattr(f"fruitcnn.runs.results.{name}", lambda *_, **__: [])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a GPU say so where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no GPU that torch can use")


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    """Run `python -m fruitcnn ...` in an empty folder as a process of its own."""

    def run(*arguments: object, stdin: bytes = b"", cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fruitcnn", *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, timeout=300)
        return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
