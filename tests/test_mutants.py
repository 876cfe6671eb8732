"""The list of mutants and what runs it: a test that notices nothing has to be told from one that does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.mutants import read_mutants

ENTRY = """
[[mutant]]
file = "fruitcnn/listing.py"
old = '''{old}'''
new = '''{new}'''
test = "tests/test_listing.py{test}"
"""


def test_every_entry_of_the_list_fits_its_file() -> None:
    assert len(read_mutants(REPOSITORY / "tests" / "mutants.toml")) > 0


def test_an_entry_that_no_longer_fits_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "mutants.toml"
    listed.write_text(ENTRY.format(old="no such text", new="", test=""))
    with pytest.raises(SystemExit, match="no such text"):
        read_mutants(listed)


def test_killed_survived_and_spoiled_are_told_apart(tmp_path: Path) -> None:
    listed = tmp_path / "mutants.toml"
    killed = ENTRY.format(old='path.name.startswith(".") or', new="", test="")
    survived = ENTRY.format(old="Hidden files and the files", new="Hidden files, the files", test="")
    spoiled = ENTRY.format(old="import re\n", new="import re(\n", test="")
    listed.write_text(killed + survived + spoiled)
    command = [sys.executable, "-m", "tests.mutants", str(listed), "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip().endswith("1 killed, 1 SURVIVED, 1 SPOILED, 0 equivalent"), done.stdout + done.stderr
    assert "SURVIVED fruitcnn/listing.py: 'Hidden files and" in done.stdout and done.returncode == 1
