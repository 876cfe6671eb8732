"""Standard error as a terminal, for what shows itself only there."""

import fcntl
import os
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
