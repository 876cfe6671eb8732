"""An identification that is stopped, by whatever, and one that goes on with it: the file is as if nothing had been."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Command, pictures
from tests.faults.test_signals import names, started

PARTIAL = "out.csv.partial"


def wait_for_rows(process: subprocess.Popen[bytes], partial: Path, rows: int) -> None:
    """Wait until more rows than so many are written, or the process has ended."""
    while process.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > rows):
        time.sleep(0.005)


def stopped(tmp_path: Path, number: signal.Signals, *options: str, rows: int = 20) -> bytes:
    """Stop `identify` when some rows are written; the broken picture among them is one. Returns what it said."""
    if not (tmp_path / "folder").exists():
        pictures(tmp_path / "folder", 150)
        (tmp_path / "folder" / "picture_7.png").write_text("no picture")
    process = started("identify", "folder", "folder", "-m", "fruits", "-o", "out.csv", *options, cwd=tmp_path)
    partial = tmp_path / PARTIAL
    wait_for_rows(process, partial, rows)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode in (128 + number, -number)
    return message


@pytest.mark.parametrize("format", ["table", "json", "csv", "spreadsheet"])
def test_an_identification_that_was_stopped_goes_on(
    format: str, command: Command, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    inputs_unchanged.add(tmp_path / PARTIAL)
    arguments = ("identify", "folder", "folder", "-m", "fruits", "-f", format)
    number = signal.SIGINT if format == "table" else signal.SIGTERM
    assert stopped(tmp_path, number, "-f", format) == f"{PARTIAL} has the rows so far: go on with --resume\n".encode()
    assert names(tmp_path) == ["folder", PARTIAL]
    # As a cut of the power may leave it: in the middle of a row.
    with (tmp_path / PARTIAL).open("r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - 9)
    done = command(*arguments, "-o", "out.csv", "--resume")
    assert (done.returncode, done.stderr) == (3, ""), "a picture before the stop was rejected"
    assert command(*arguments, "-o", "whole.csv").returncode == 3
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert names(tmp_path) == ["folder", "out.csv", "whole.csv"]


def test_an_identification_that_was_killed_goes_on_as_it_was_begun(
    command: Command, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    assert stopped(tmp_path, signal.SIGKILL, "-f", "json") == b""
    partial, arguments = tmp_path / PARTIAL, ["identify", "folder", "folder", "-m", "fruits", "-o", "out.csv"]
    before = partial.read_bytes()

    def refused(message: str, *more: object) -> None:
        done = command(*more, "--resume")
        assert done.returncode == 2 and message in done.stderr, done.stderr
        assert partial.read_bytes() == before and not (tmp_path / "out.csv").exists()

    refused("out.csv.partial: was begun with --format json, now csv; give the same", *arguments, "-f", "csv")
    refused("--top not given, now 2", *arguments, "-f", "json", "-k", "2")
    refused("was begun with pictures 300 (", *arguments, "-f", "json", "folder")
    other = ["--refuse-below", "0.2", "--verbose"]
    refused("--refuse-below not given, now 0.2; --verbose False, now True", *arguments, "-f", "json", *other)
    model = Path(__file__).parents[2] / "checkpoints/fruits-small"
    refused("model fruits (", *[model if word == "fruits" else word for word in arguments], "-f", "json")
    refused("can't be read again", *arguments, "-f", "json", "-")
    refused("leave out --sort and --explain", *arguments, "-f", "json", "--sort", "sorted")
    refused("add --output", *arguments[:-2])
    refused("no.csv.partial: there is nothing to go on with; leave out --resume", *arguments[:-1], "no.csv")
    # Nor is it begun again by mistake.
    done = command(*arguments, "-f", "json")
    assert done.returncode == 2 and "go on with --resume, or begin again with --force" in done.stderr
    inputs_unchanged.add(partial)
    assert command(*arguments, "-f", "csv", "--force").returncode == 3
    assert names(tmp_path) == ["folder", "out.csv"] and (tmp_path / "out.csv").read_text().count("\n") == 301


@pytest.mark.parametrize("what", ["a FIFO", "a link", "a link to nothing", "a folder", "a file", "an empty file"])
@pytest.mark.parametrize("option", ["--force", "--resume"])
def test_whatever_has_the_name_of_the_rows_so_far_stays(
    what: str, option: str, command: Command, photo: Path, tmp_path: Path
) -> None:
    partial, other = tmp_path / PARTIAL, tmp_path / "other"
    other.write_text(json.dumps({"unfinished": "fruitcnn identify"}) + "\n")
    if what == "a FIFO":
        os.mkfifo(partial)
    elif what.startswith("a link"):
        partial.symlink_to(other if what == "a link" else tmp_path / "nothing")
    elif what == "a folder":
        partial.mkdir()
    else:
        partial.write_text("mine" if what == "a file" else "")
    before = partial.lstat()
    done = command("identify", photo, photo, "-m", "fruits", "--output", "out.csv", option)
    assert done.returncode == 2 and f"{PARTIAL}: has the name of the rows so far, and is none of them" in done.stderr
    assert partial.lstat().st_ino == before.st_ino and partial.lstat().st_mtime_ns == before.st_mtime_ns
    assert not (tmp_path / "nothing").exists() and not (tmp_path / "out.csv").exists()


def test_rows_that_another_process_writes_are_left_alone(command: Command, tmp_path: Path) -> None:
    pictures(tmp_path / "folder", 3)
    process = started("identify", *["folder"] * 200, "-m", "fruits", "-o", "out.csv", cwd=tmp_path)
    wait_for_rows(process, tmp_path / PARTIAL, rows=1)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    try:
        for option in ("--force", "--resume"):
            done = command("identify", *["folder"] * 200, "-m", "fruits", "-o", "out.csv", option)
            assert done.returncode == 2 and f"{PARTIAL}: another process is writing it" in done.stderr
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate(timeout=60)


def test_a_file_that_has_come_meanwhile_keeps_the_rows_so_far(
    command: Command, tmp_path: Path, inputs_unchanged: set[Path]
) -> None:
    inputs_unchanged |= {tmp_path / PARTIAL, tmp_path / "out.csv"}
    stopped(tmp_path, signal.SIGTERM)
    arguments = ("identify", "folder", "folder", "-m", "fruits", "-o", "out.csv", "--resume")
    (tmp_path / "out.csv").write_text("another's")
    done = command(*arguments)
    assert done.returncode == 2 and "exists already" in done.stderr
    assert (tmp_path / "out.csv").read_text() == "another's" and (tmp_path / PARTIAL).exists()
    assert command(*arguments, "--force").returncode == 3
    assert names(tmp_path) == ["folder", "out.csv"]


def test_private_rows_stay_private(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    (tmp_path / "out.csv").chmod(0o600)
    stopped(tmp_path, signal.SIGTERM, "--force")
    assert (tmp_path / PARTIAL).stat().st_mode & 0o777 == 0o600


def test_damaged_rows_are_not_gone_on_with(command: Command, tmp_path: Path) -> None:
    stopped(tmp_path, signal.SIGTERM, "-f", "json")
    partial = tmp_path / PARTIAL
    lines = partial.read_bytes().split(b"\n")
    lines[3] = b'{"file": '
    partial.write_bytes(b"\n".join(lines))
    done = command("identify", "folder", "folder", "-m", "fruits", "-o", "out.csv", "-f", "json", "--resume")
    assert done.returncode == 2 and f"{PARTIAL}: is damaged in row 3; begin again" in done.stderr


def test_nothing_is_said_where_nobody_takes_it(tmp_path: Path) -> None:
    """A full pipe, which nobody reads, must not keep a stopped process alive."""
    pictures(tmp_path / "folder", 150)
    process = started("identify", *["folder"] * 2, "-m", "fruits", "-o", "out.csv", cwd=tmp_path)
    assert process.stderr is not None
    filler = os.open(f"/proc/self/fd/{process.stderr.fileno()}", os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while os.write(filler, bytes(size)):
                pass
    wait_for_rows(process, tmp_path / PARTIAL, rows=1)
    timer = threading.Timer(60, process.kill)
    timer.start()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    timer.cancel()
    os.close(filler)
    process.stderr.close()
