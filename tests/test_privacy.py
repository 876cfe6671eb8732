"""Nothing but what fruitcnn says is left on a machine, or sent from it: no library reports to its makers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PROGRAMS = {
    "identify": "from fruitcnn.__main__ import main; main()",
    "training": "import fruitcnn; fruitcnn.train(sys.argv[2], name='run', size=64, device='cpu')",
    "torch": "import fruitcnn.training.fit, fruitcnn.export.int8, fruitcnn.browser.npm",
}

# Settings and lists of fonts of libraries that send nothing.
KNOWN = (".keras/", ".cache/matplotlib/", ".config/matplotlib/")


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_left_in_the_home_folder(name: str, drawn: Path, tmp_path: Path) -> None:
    """onnxruntime's telemetry keeps the events that it is going to send, and a number for the machine, in ~/.cache."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    place = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    place |= {"HOME": str(home), "FRUITCNN_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(REPOSITORY)}
    words = [sys.executable, "-c", f"import sys\n{PROGRAMS[name]}", "identify", str(drawn), "--model", "fruits"]
    done = subprocess.run(words, cwd=work, env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert not [file for file in left if not file.startswith(KNOWN)]
