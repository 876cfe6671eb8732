"""The errors that fruitcnn raises for the person who has to act on them.

FruitcnnError            exit status 1
  ImageError             TransientError: this time only
  DatasetError
  ModelError
  ExportError
  InterruptedTrainingError   exit status 128 + the signal's number
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
    """An error that you can mend. All errors of fruitcnn derive from it.

    `str(error)` reads "value: problem; remedy".

    Attributes:
        problem (str): What is wrong.
        value (object): The file, key or argument that it is wrong with. None where it has no name.
        remedy (str): What to do.
        exit_code (int): The exit status of the command with this error.
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
    """A picture can't be read."""


class TransientError(ImageError):
    """A picture can't be read now, for want of memory, open files or a sound disk. Try again later."""


class DatasetError(FruitcnnError):
    """A set of pictures can't be used as it is."""


class ConfigError(FruitcnnError):
    """A recipe, or a setting, is not valid. The remedy names the nearest key."""

    exit_code = 2


class ModelError(FruitcnnError):
    """A model file, a model card or a checkpoint directory is missing, or this version can't read it."""


class ExportError(FruitcnnError):
    """An exported file does not agree with the trained model, or can't be made."""


class InterruptedTrainingError(FruitcnnError):
    """Ctrl-C or SIGTERM stopped a training by epochs. `resume=True` goes on after the last whole epoch."""

    def __init__(self, number: int, problem: str, *, value: object, remedy: str) -> None:
        super().__init__(problem, value=value, remedy=remedy)
        self.exit_code = 128 + number


class UsageError(FruitcnnError):
    """A call that can't work, such as a name that is taken."""

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
