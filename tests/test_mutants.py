"""The list of mutants and what runs it: a test that notices nothing has to be told from one that does."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.mutants import LISTS, is_stale, read_mutants

ENTRY = """
[[mutant]]
file = "fruitcnn/listing.py"
old = '''{old}'''
new = '''{new}'''
test = "tests/test_listing.py{test}"
"""


def test_every_entry_of_the_lists_fits_its_file_and_stands_once() -> None:
    mutants = read_mutants(LISTS)
    assert len(mutants) > 300 and not [str(mutant) for mutant in mutants if is_stale(mutant)]
    changes = [(mutant.file, mutant.old, mutant.new) for mutant in mutants]
    assert len(set(changes)) == len(changes)


def test_killed_survived_spoiled_and_stale_are_told_apart(tmp_path: Path) -> None:
    listed = tmp_path / "mutants.toml"
    killed = ENTRY.format(old='name.startswith(".") or', new="", test="")
    survived = ENTRY.format(old="Hidden files and folders", new="Hidden folders and files", test="")
    spoiled = ENTRY.format(old="import re\n", new="import re(\n", test="")
    stale = ENTRY.format(old="no such text", new="", test="")
    listed.write_text(killed + stale + survived + spoiled)
    command = [sys.executable, "-m", "tests.mutants", str(listed), "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    counts = "1 killed, 1 SURVIVED, 1 SPOILED, 1 STALE, 0 equivalent"
    assert done.stdout.strip().endswith(counts), done.stdout + done.stderr
    assert "SURVIVED fruitcnn/listing.py: 'Hidden files and folders" in done.stdout and done.returncode == 1
    assert "STALE fruitcnn/listing.py: 'no such text'" in done.stdout


def test_a_stale_entry_alone_is_a_failure(tmp_path: Path) -> None:
    listed = tmp_path / "mutants.toml"
    listed.write_text(ENTRY.format(old="no such text", new="", test=""))
    done = subprocess.run([sys.executable, "-m", "tests.mutants", str(listed)], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 1
