"""The errors that fruitcnn raises for the person who has to act on them.

FruitcnnError            exit status 1
  ImageError             TransientError: this time only
  DatasetError
  ModelError
  ExportError
  ConfigError            exit status 2
  UsageError             exit status 2
"""

import errno
import functools
import os
from typing import Any, TypeVar


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and how much more there is: what strangers wrote can be endless."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text) - most:,} more characters)"


class FruitcnnError(Exception):
    """Something a user can mend. `str(error)` reads `value: problem; remedy`.

    `problem` says what is wrong, `value` names the file, key or argument it is wrong with, `remedy` says what to do.
    """

    exit_code = 1

    def __init__(self, problem: str, *, value: object = None, remedy: str) -> None:
        self.problem = problem
        self.value = value
        self.remedy = remedy
        head = f"{value}: {problem}" if value is not None else problem
        super().__init__(f"{head}; {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Python's own way would make it again of its text alone.
        return functools.partial(type(self), value=self.value, remedy=self.remedy), (self.problem,)


class ImageError(FruitcnnError):
    """A file or buffer that can't be read as a picture."""


class TransientError(ImageError):
    """A picture that could not be read this time (memory, open files, a failing disk): no fault of the picture."""


class DatasetError(FruitcnnError):
    """A set of photographs that can't be trained on as it stands."""


class ConfigError(FruitcnnError):
    """A recipe, or a `--set`, that is not valid."""

    exit_code = 2


class ModelError(FruitcnnError):
    """A model file, model card or checkpoint directory that is missing or not understood."""


class ExportError(FruitcnnError):
    """An export that did not agree with the trained model, or could not be made."""


class UsageError(FruitcnnError):
    """A command called in a way that can't work: a missing path, a missing extra."""

    exit_code = 2


# What a user can do about what the operating system refuses.
_PERMISSIONS = ("permission denied", "check its permissions")
_SYSTEM = {
    errno.ENOENT: ("no such file", "check the path"),
    errno.ENOTDIR: ("no such file", "check the path"),
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: ("the file system is read-only", "write somewhere else"),
    errno.EEXIST: ("something else has this name", "move it away, or write somewhere else"),
    errno.ENOSPC: ("the disk is full", "make room, or write somewhere else"),
    errno.EDQUOT: ("the disk quota is used up", "make room, or write somewhere else"),
    errno.EFBIG: ("the file would be larger than is allowed", "raise the limit (ulimit -f), or write somewhere else"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open on this machine", "try again later"),
    errno.ENOMEM: ("not enough memory", "close other programs, or raise the limit (ulimit -v)"),
    errno.ENAMETOOLONG: ("the name is too long", "use a shorter one"),
    errno.ELOOP: ("a link that leads back to itself", "name the file itself"),
    errno.EIO: ("the disk reports an error", "check the disk, then try again"),
    errno.EBADF: ("is closed", "open it, or use --output"),
}
OUT_OF_MEMORY = _SYSTEM[errno.ENOMEM]


_Kind = TypeVar("_Kind", bound=FruitcnnError)


def system_error(error: OSError, kind: type[_Kind], *, value: object = None) -> _Kind:
    """What the operating system refused, as an error of `kind` that says what to do; the file is `value` or its own."""
    problem, remedy = _SYSTEM.get(error.errno or 0, (error.strerror or str(error) or type(error).__name__, ""))
    file = value if value is not None else error.filename
    if isinstance(file, bytes):
        file = os.fsdecode(file)
    return kind(problem, value=file, remedy=remedy or "check the path and the disk")
