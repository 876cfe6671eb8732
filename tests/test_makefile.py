"""`make setup` is done when pip is."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# Stands for python3, and for the one of the environment that it makes: pip ends with what the file `status` says.
STUB = """#!/bin/sh
case "$2" in
    venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";;
    pip) echo "pip was asked: $*" && exit "$(cat status)";;
esac
"""


@pytest.mark.parametrize("status", [0, 1])
def test_an_installation_that_fails_is_not_taken_for_done(tmp_path: Path, status: int) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    stub = tmp_path / "python-stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    (tmp_path / "status").write_text(str(status))
    for _ in range(2):
        done = subprocess.run(
            ["make", "setup", f"PYTHON={stub}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert bool(done.returncode) == bool(status), done.stdout + done.stderr
    assert (tmp_path / ".venv" / "ready").exists() == (not status)
    # The second time there is nothing left to do, or it is tried again.
    assert ("pip was asked" in done.stdout) == bool(status)
