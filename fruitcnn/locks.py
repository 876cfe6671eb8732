"""Locks that end with their process, whatever ends that."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.errors import UsageError

# A folder that is written to holds it, with the number of the process that writes.
LOCK = ".lock"


class HeldError(UsageError):
    """A folder that another process writes to."""


@contextlib.contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that ask; the hold ends with this process, whatever ends that.

    Raises HeldError, with the number of the process that holds it, and OSError.
    """
    descriptor = _locked(folder)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        # In this order: whoever opened the file in between finds that it has gone, and makes a new one.
        (folder / LOCK).unlink(missing_ok=True)
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """A descriptor of the locked lock file."""
    file = folder / LOCK
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace") or "another"
            os.close(descriptor)
            raise HeldError(
                f"process {holder} is working there", value=folder, remedy="wait for it, or choose another name"
            ) from None
        os.close(descriptor)


def remove_unlocked(path: Path) -> None:
    """Remove a file unless a process holds its lock, as the one that writes it does."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
