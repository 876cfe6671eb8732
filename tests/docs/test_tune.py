"""docs/tune.md is true: its blocks run, one after the other, in a folder with photographs."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

BLOCK = re.compile(r"^```(\w+)(?: ([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_tune_run(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").symlink_to(drawn)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/fruitcnn").write_text(f'#!/bin/sh\nexec {sys.executable} -m fruitcnn "$@"\n')
    (tmp_path / "bin/fruitcnn").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    programs = {"bash": ["bash", "-e", "-c"], "python": [sys.executable, "-W", "error", "-c"]}
    said = ""
    for language, mark, text in BLOCK.findall((REPOSITORY / "docs/tune.md").read_text(encoding="utf-8")):
        if mark == "space.yaml":
            (tmp_path / mark).write_text(text)
        else:
            words = [*programs[language], text]
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
            assert done.returncode == 0, done.stderr
            said = done.stdout
    files = {path.name for path in (tmp_path / "tuning/features").iterdir()}
    table = re.findall(r"^\| `([\w.-]+)/?`", (REPOSITORY / "docs/tune.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(table) <= files and len(table) == 5
    assert (tmp_path / "checkpoints/best/model.onnx").exists() and not (
        tmp_path / "checkpoints/quick-look/model.onnx"
    ).exists()
    loss, losses = said.splitlines()[-1].split(" ", 1)
    assert 0 < float(loss) < 2 and losses == "[]"
