"""Files that are written: whole or not at all, and never over another's."""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.locks import remove_unlocked

# Names of what a process has open already: writing to them never means replacing the file behind them.
_OPEN_ALREADY = ("/dev/std", "/dev/fd/", "/proc/self/fd/")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.tmp(\..*)?", re.DOTALL)
# Temporaries of files that are being written.
_unfinished: set[Path] = set()


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success it is flushed to disk and renamed, on failure removed."""
    # The ending stays: writers such as Keras and matplotlib choose the format by it. The rest is cut so that a name as
    # long as the file system allows has a temporary too.
    temporary = path.with_name(f".{path.stem[:32]}.{os.urandom(4).hex()}.tmp{path.suffix[:16]}")
    _unfinished.add(temporary)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # A full disk does not say where; the person who has to make room wants to know.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def is_temporary(path: Path) -> bool:
    """Whether `written_whole` gives such names."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(folder: Path) -> None:
    """Remove the temporaries that killed processes left in a folder; it must be held, so that none is in use."""
    for path in folder.iterdir():
        if is_temporary(path):
            path.unlink(missing_ok=True)


def discard_unfinished() -> None:
    """Remove the temporaries of this process, for one that ends at once."""
    for path in list(_unfinished):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, as UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path: Path, *, force: bool, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuse an output that would cost a file: one that exists (unless `force`) or is an input, by whatever name.

    inputs: what is read; only looked at when the output exists. Raises UsageError.
    """
    try:
        there = path.stat()
    except FileNotFoundError:
        if not path.resolve().parent.is_dir():
            raise UsageError("no such folder", value=path.resolve().parent, remedy="make it first") from None
        return
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error
    if stat.S_ISDIR(there.st_mode):
        raise UsageError("is a folder", value=path, remedy="name a file to write")
    if stat.S_ISBLK(there.st_mode):
        raise UsageError("is a disk", value=path, remedy="name a file to write")
    if not stat.S_ISREG(there.st_mode) or str(path).startswith(_OPEN_ALREADY):
        return
    if not force:
        raise UsageError("exists already", value=path, remedy="name another file, or replace it with --force")
    for file in inputs:
        with contextlib.suppress(OSError, ValueError):
            if os.path.samestat(os.stat(file), there):  # noqa: PTH116 (a path of any kind)
                raise UsageError(f"is read by this command (as {file})", value=path, remedy="name another file")


@contextlib.contextmanager
def opened_output(path: Path) -> Iterator[TextIO]:
    """Open a checked output for UTF-8 text: a FIFO or device as a stream; a file appears whole or not at all.

    A link is written through, a replaced file keeps its mode. Raises FruitcnnError where writing fails.
    """
    try:
        old = path.stat() if path.exists() else None
        if old is not None and (not stat.S_ISREG(old.st_mode) or str(path).startswith(_OPEN_ALREADY)):
            # Appending: what stands behind /dev/stdout may be a file that the shell has begun.
            with open(path, "a", encoding="utf-8", opener=_without_creating) as stream:
                yield stream
            return
        _remove_abandoned(path.resolve())
        with written_whole(path.resolve()) as temporary, temporary.open("w", encoding="utf-8") as file:
            # Let go when this process ends, whatever ends it: so the next one knows what is in use.
            fcntl.flock(file, fcntl.LOCK_EX)
            if old is not None:
                # Before the first byte, so that what was private stays so.
                temporary.chmod(stat.S_IMODE(old.st_mode))
            yield file
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error


def _remove_abandoned(path: Path) -> None:
    """Remove the temporaries of an output that killed processes left; one that is in use is locked."""
    for other in path.parent.iterdir():
        ours = other.name.startswith(f".{path.stem[:32]}.") and other.suffix == path.suffix[:16]
        if ours and is_temporary(other):
            remove_unlocked(other)


def _without_creating(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)
