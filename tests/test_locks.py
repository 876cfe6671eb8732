"""Locks: who holds a folder, what nobody holds any more, and both without the locks of Unix."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fruitcnn.errors import UsageError
from fruitcnn.locks import LOCK, HeldError, held_folder, remove_abandoned_lock, remove_unlocked
from tests.conftest import REPOSITORY
from tests.missing import without

# What Windows has not. Its own lock is made of the one that is here: with bytes that are locked for one opened file,
# and PermissionError for a byte that another has.
WITHOUT_UNIX = """
import fcntl, os, signal, sys, types

windows = types.ModuleType("msvcrt")
windows.LK_NBLCK = 2

def locking(descriptor, mode, count, real=fcntl):
    assert mode == 2 and count == 1 and os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20, "not in what is read"
    try:
        real.flock(descriptor, real.LOCK_EX | real.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None

windows.locking = locking
for name in ("fcntl", "pwd", "grp", "resource", "termios", "posix"):
    sys.modules[name] = None
sys.modules["msvcrt"] = windows
for name in ("SIGHUP", "SIGPIPE", "SIGKILL", "SIGALRM"):
    delattr(signal, name)
for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "pread", "pwrite", "preadv", "pwritev", "fchmod",
             "geteuid", "getuid", "fork", "mkfifo", "sched_getaffinity", "sysconf"):
    delattr(os, name)
"""


def without_unix(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that has nothing of Unix alone."""
    # What Python's own modules for starting processes import on this system comes before.
    before = "import shutil, subprocess, tempfile, multiprocessing, asyncio, platform, ctypes\n"
    script = before + WITHOUT_UNIX + textwrap.dedent(code)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)


def test_the_light_world_is_imported_and_answers_without_unix(tmp_path: Path) -> None:
    """As on Windows: identify writes a file, info and cache print."""
    code = """
        import importlib, pathlib
        heavy = {"torch", "keras", "lightning", "onnx", "pydantic", "yaml", "matplotlib", "jinja2", "rich", "sklearn"}
        imported = 0
        for path in sorted(pathlib.Path("fruitcnn").rglob("*.py")):
            name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            try:
                importlib.import_module(name)
                imported += 1
            except ImportError as error:
                # A module of the heavy world, without an extra.
                assert "pip install" in str(error) or error.name.partition(".")[0] in heavy, (name, error)
        print(imported, "modules")
        from fruitcnn.__main__ import main
        picture, output = "dataset/sample/grape/grape_000.jpg", sys.argv[1]
        for words in (["identify", picture, "--model", "checkpoints/fruits", "--output", output],
                      ["identify", picture, "--model", "checkpoints/fruits", "--output", output, "--force"],
                      ["info", "checkpoints/fruits"], ["cache"]):
            sys.argv = ["fruitcnn", *words]
            try:
                main()
            except SystemExit as ended:
                assert not ended.code, ended.code
    """
    blocked = without(("torch", "keras", "lightning", "onnx", "pydantic", "yaml", "rich"))
    done = without_unix(blocked + textwrap.dedent(code), tmp_path / "out.txt")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 40 and "labels" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert "grape" in (tmp_path / "out.txt").read_text()


def test_a_folder_is_held_without_unix(tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        from fruitcnn.locks import HeldError, held_folder
        from fruitcnn.outputs import opened_output
        folder = Path(sys.argv[1])
        for _ in range(2):
            with held_folder(folder):
                try:
                    with held_folder(folder):
                        print("held twice")
                except HeldError as error:
                    print(f"process {os.getpid()} is working there" in str(error))
        output = folder / "a.txt"
        with opened_output(output, force=True):
            try:
                with opened_output(output, force=True):
                    print("written twice")
            except HeldError as error:
                print("is being written" in str(error))
            print(len(list(folder.iterdir())))
        print(sorted(path.name for path in folder.iterdir()))
    """
    done = without_unix(code, tmp_path)
    assert (done.stderr, done.stdout) == ("", "True\nTrue\nTrue\n1\n['a.txt']\n")


@pytest.mark.parametrize("kind", ["text", "link", "link to nothing", "hard link", "folder", "fifo", "number in a link"])
def test_what_else_has_the_name_of_the_lock_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("4711" if kind == "number in a link" else "dear")
    folder = tmp_path / "folder"
    folder.mkdir()
    lock = folder / LOCK
    {
        "text": lambda: lock.write_text("of another program"),
        "link": lambda: lock.symlink_to(victim),
        "number in a link": lambda: lock.symlink_to(victim),
        "link to nothing": lambda: lock.symlink_to("nowhere"),
        "hard link": lambda: lock.hardlink_to(victim),
        "folder": lock.mkdir,
        "fifo": lambda: os.mkfifo(lock),
    }[kind]()
    before = lock.lstat()
    with (
        pytest.raises(UsageError, match="is not fruitcnn's; move it away, or name another folder"),
        held_folder(folder),
    ):
        pass
    assert not remove_abandoned_lock(folder)
    assert lock.lstat().st_ino == before.st_ino and lock.lstat().st_size == before.st_size
    assert victim.read_text() in ("dear", "4711") and not (folder / "nowhere").exists()


def test_a_lock_that_became_another_file_is_not_removed(tmp_path: Path) -> None:
    with held_folder(tmp_path):
        (tmp_path / LOCK).unlink()
        (tmp_path / LOCK).write_text("of another program")
    assert (tmp_path / LOCK).read_text() == "of another program"


def test_the_lock_of_a_killed_process_is_taken_over_and_never_written_to(tmp_path: Path) -> None:
    code = "import os, signal, sys\nfrom pathlib import Path\nfrom fruitcnn.locks import held_folder\n"
    code += "with held_folder(Path(sys.argv[1])):\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == -signal.SIGKILL
    # Its number under another name: a lock that was emptied or overwritten would show there.
    (tmp_path / "other name").hardlink_to(tmp_path / LOCK)
    number = (tmp_path / "other name").read_text()
    taken = pytest.raises(HeldError, match=f"process {os.getpid()} is working there")
    with held_folder(tmp_path), taken, held_folder(tmp_path):
        pass
    assert number.isdigit() and (tmp_path / "other name").read_text() == number
    assert [path.name for path in tmp_path.iterdir()] == ["other name"]


def test_only_a_file_that_nobody_holds_is_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    assert [remove_unlocked(tmp_path / name) for name in ("folder", "link", "fifo")] == [False, False, False]
    assert len(list(tmp_path.iterdir())) == 4
    assert remove_unlocked(tmp_path / "file") and remove_unlocked(tmp_path / "file")
    assert not (tmp_path / "file").exists()
