"""Locks that end with their process, whatever ends that.

They are flock's; on Windows, which has none, a byte of the file far behind its end is locked instead. What is open
can't be removed there, and what is removed here may still be open: both orders are tried.
"""

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fruitcnn.errors import UsageError
from fruitcnn.regular_files import NOT_THROUGH_LINKS, NotAFileError, open_regular

# A folder that is written to holds it, with the number of the process that writes.
LOCK = ".fruitcnn.lock"
# No file of ours is that long, and reading it stays free: there a locked byte can't be read.
_LOCKED_BYTE = 1 << 30
# Seconds from one try to hold a folder to the next.
_PAUSE = 0.1


class HeldError(UsageError):
    """A folder that another process writes to."""


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or this process ends, without waiting; False where another has it.

    Raises OSError where the file system knows no locks.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        return _lock_byte(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(descriptor: int) -> bool:
    windows: Any = importlib.import_module("msvcrt")
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        windows.locking(descriptor, windows.LK_NBLCK, 1)
    except PermissionError:
        return False
    finally:
        os.lseek(descriptor, place, os.SEEK_SET)
    return True


@contextlib.contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that ask; the hold ends with this process, whatever ends that.

    Raises HeldError, with the number of the process that holds it, UsageError where something else has the name of
    the lock, and OSError.
    """
    file = folder / LOCK
    try:
        descriptor = _created(file)
    except OSError as error:
        # Who has to make room, or to give a permission, knows the folder.
        error.filename = str(folder)
        raise
    try:
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        # In this order: whoever opened the file in between finds that it has gone, and makes a new one.
        removed = remove_same(file, descriptor)
        os.close(descriptor)
        if not removed:
            remove_abandoned_lock(folder)


@contextlib.contextmanager
def held_when_free(folder: Path, *, tell: Callable[[HeldError], object]) -> Iterator[None]:
    """Hold a folder as soon as nobody else does, and make it where it is gone by then.

    tell: takes who holds it, once, where there is somebody.
    """
    with contextlib.ExitStack() as hold:
        is_told = False
        while True:
            try:
                hold.enter_context(held_folder(folder))
                break
            except HeldError as error:
                if not is_told:
                    tell(error)
                is_told = True
                time.sleep(_PAUSE)
            except FileNotFoundError:
                # Whoever had made and held it has failed, and taken it away.
                if is_told:
                    folder.mkdir(exist_ok=True)
                else:
                    raise
        yield


def _created(file: Path) -> int:
    """A descriptor of the lock file, which is made here and locked: one that was there before is never written to."""
    while True:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS, 0o644)
            try:
                # Between its making and its locking another process may have taken it for abandoned.
                if lock(descriptor) and _is_same(file, descriptor):
                    return descriptor
            except OSError:
                remove_same(file, descriptor)
                os.close(descriptor)
                raise
            os.close(descriptor)
        if os.path.lexists(file) and not remove_abandoned_lock(file.parent):
            problem = f"{_holder(file)} is working there"
            raise HeldError(problem, value=file.parent, remedy="wait for it, or choose another name")


def _holder(file: Path) -> str:
    """The process that a lock file names. Raises UsageError where it is no lock of ours, and OSError."""
    try:
        with open_regular(file, through_links=False) as opened:
            content = opened.read(20).decode("ascii", "replace")
    except FileNotFoundError:
        content = ""
    except (NotAFileError, IsADirectoryError):
        content = "no number"
    if content and not content.isdigit():
        raise UsageError("is not fruitcnn's", value=file, remedy="move it away, or name another folder")
    return f"process {content}" if content else "another process"


def remove_abandoned_lock(folder: Path) -> bool:
    """Remove the lock that a killed process left in a folder; whether none is there any more."""
    file = folder / LOCK
    with contextlib.suppress(UsageError, OSError):
        # Whatever else has that name stays.
        _holder(file)
        return remove_unlocked(file)
    return False


def remove_unlocked(path: Path, *, before: Callable[[Path], object] | None = None) -> bool:
    """Remove a regular file unless a process holds its lock, as the one that writes it does; whether it is gone.

    before: what to do first, while nobody else can have its lock. Nothing is followed or waited for, and what is no
    regular file stays.
    """
    try:
        with open_regular(path, through_links=False) as file:
            if not lock(file.fileno()):
                return False
            if before is not None:
                before(path)
            if remove_same(path, file.fileno()):
                return True
        # Windows removes nothing that is open.
        path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a regular file is there whose lock another holds."""
    try:
        with open_regular(path, through_links=False) as file:
            return not lock(file.fileno())
    except OSError:
        return False


def _is_same(path: Path, descriptor: int) -> bool:
    """Whether a name still is that of an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def remove_same(path: Path, descriptor: int) -> bool:
    """Remove a name if it is that of an open file; whether the file has it no more."""
    try:
        if _is_same(path, descriptor):
            path.unlink()
    except OSError:
        return False
    return True
