"""The cache folder: what is ours in it, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn.cache import FEATURES, PIXELS, find_entries, shrink_cache
from tests.conftest import Run

SHELF, ENTRY = f"3-32-{'a' * 32}.pixels", f"{'b' * 64}.features.npz"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("FRUITCNN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def test_each_kind_is_counted_and_the_longest_unused_goes_first_of_whatever_kind(folder: Path, cli: Run) -> None:
    for number, name in enumerate((ENTRY, SHELF, ENTRY.replace("b", "c"))):
        (folder / name).write_bytes(bytes(1_000_000))
        os.utime(folder / name, (number, number))
    first = f"{folder}: 3.0 MB in 3 files (at most 10,737 MB are kept)"
    assert cli("cache").stdout == f"{first}\n  pixels: 1.0 MB in 1 file\n  features: 2.0 MB in 2 files\n"
    assert [entry.kind for entry in find_entries(folder)] == [FEATURES, PIXELS, FEATURES]
    assert shrink_cache(folder, 2_000_000) == 1_000_000
    assert [entry.path.name for entry in find_entries(folder)] == [SHELF, ENTRY.replace("b", "c")]
    assert cli("cache", "--clear").stdout == f"{folder}: removed 2.0 MB\n"
    assert list(folder.iterdir()) == []


def test_what_others_put_there_is_never_counted_read_or_removed(folder: Path, tmp_path: Path, cli: Run) -> None:
    (tmp_path / "photo.npz").write_text("mine")
    (folder / SHELF).symlink_to(tmp_path / "photo.npz")
    (folder / ENTRY).mkdir()
    os.mkfifo(folder / ENTRY.replace("b", "c"))
    os.mkfifo(folder / ".pixels.0123abcd.fruitcnn-tmp")
    (folder / ".features.0123abcd.fruitcnn-tmp.npz").mkdir()
    for name in ("notes.txt", "x.pixels", f"{'b' * 63}.features.npz", ".fruitcnn-tmp", ".a.0123abcd.tmp"):
        (folder / name).write_text("mine")
    before = sorted(folder.iterdir())
    assert cli("cache").stdout.startswith(f"{folder}: 0.0 MB in 0 files")
    assert cli("cache", "--clear").stdout == f"{folder}: removed 0.0 MB\n"
    assert sorted(folder.iterdir()) == before and (tmp_path / "photo.npz").read_text() == "mine"


def test_asking_for_the_cache_imports_nothing_that_is_large(folder: Path) -> None:
    code = "import sys\nfrom fruitcnn.cache import describe_cache\ndescribe_cache()\nprint('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
