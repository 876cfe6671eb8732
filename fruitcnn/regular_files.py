"""Regular files: opened for reading without waiting for, or touching, anything that is none."""

import errno
import os
import stat
from typing import BinaryIO

# Windows has neither; there is nothing to wait for there, and links are looked at before.
WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)
NOT_THROUGH_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


class NotAFileError(OSError):
    """A name that stands for something other than a regular file."""


def open_regular(path: str | os.PathLike[str], *, through_links: bool = True, for_writing: bool = False) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes; OSError for what is missing, locked or anything else.

    A FIFO would make the reader wait for a writer that never comes, a device can be endless. through_links: False for
    a file of our own, whose name others may have put a link at. for_writing: for that as well.
    """
    # Looking first, because opening alone already does something to some devices; looking again at what was opened,
    # and not waiting for it, because it may have been exchanged in between.
    _must_be_regular(path, os.stat(path, follow_symlinks=through_links).st_mode)  # noqa: PTH116 (a path of any kind)
    flags = (os.O_RDWR if for_writing else os.O_RDONLY) | (0 if through_links else NOT_THROUGH_LINKS)
    descriptor = os.open(path, flags | WITHOUT_WAITING | _BINARY)
    try:
        _must_be_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "r+b" if for_writing else "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _must_be_regular(path: str | os.PathLike[str], mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise NotAFileError(f"is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a file")
