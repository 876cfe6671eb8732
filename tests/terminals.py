"""Terminals, for what shows itself only there."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, *, columns: int = 80, encoding: str = "utf-8") -> Iterator[list[str]]:
    """Standard error as a terminal; afterwards the list holds the lines that it showed one over the other."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    received, lines = bytearray(), list[str]()

    def read() -> None:
        # Linux says EIO where the other end is closed.
        try:
            while part := os.read(master, 4096):
                received.extend(part)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with os.fdopen(slave, "w", encoding=encoding) as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            yield lines
    finally:
        reader.join()
        os.close(master)
        lines += received.decode(encoding).split("\r")


def run_on_terminal(
    command: Sequence[object], *, cwd: Path, columns: int = 80, environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """The status of a command whose output and messages go to one terminal, and all that the terminal got."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = {**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | (environment or {})
    process = subprocess.Popen(list(map(str, command)), cwd=cwd, stdout=slave, stderr=slave, env=surroundings)
    os.close(slave)
    received = bytearray()
    try:
        while part := os.read(master, 4096):
            received += part
    except OSError:
        # Linux says EIO where the other end is closed.
        pass
    finally:
        os.close(master)
    return process.wait(timeout=60), received.decode("utf-8")


def seen_lines(received: str) -> list[str]:
    """What stands on the terminal at the end, without colours: what is written over is gone."""
    lines = []
    for line in re.sub(r"\x1b\[\d+m", "", received).split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen.rstrip())
    return lines
