"""Files that are written: whole or not at all, and never over another's."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.locks import lock, remove_unlocked
from fruitcnn.regular_files import NOT_THROUGH_LINKS

# Names of what a process has open already: writing to them never means replacing the file behind them.
_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.fruitcnn-tmp(\..*)?", re.DOTALL)
# What file systems say that know no second name for a file.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK)
# Temporaries of files that are being written.
_unfinished: set[Path] = set()


class _Temporary:
    """A new file beside `path`, locked by this process until it is published or discarded: others leave it alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name, self._descriptor = create_temporary(path)

    def flush(self) -> None:
        """See that the content is on the disk."""
        if not os.path.samestat(os.fstat(self._descriptor), self.name.lstat()):
            raise AssertionError(f"{self.path}: its temporary was to be written into, and was replaced")
        os.fsync(self._descriptor)

    def publish(self, *, replace: bool) -> None:
        """Give it the name of `path`; FileExistsError where something has it that is not to be replaced."""
        if os.name == "nt":
            # What is open keeps its name there.
            self._close()
        if not replace:
            _rename_to_free_name(self.name, self.path)
        else:
            rename_over_file(self.name, self.path)

    def discard(self) -> None:
        """Remove it, where it has not been published."""
        self.name.unlink(missing_ok=True)
        _unfinished.discard(self.name)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def rename_over_file(temporary: Path, path: Path) -> None:
    """Rename, replacing a file that has the name but nothing else: FileExistsError."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    temporary.replace(path)


def _rename_to_free_name(temporary: Path, path: Path) -> None:
    """Unlike a plain renaming on Unix, this never replaces a file, however late that came."""
    if os.name == "nt":
        temporary.rename(path)
        return
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The name is taken with an empty file, of which nothing is lost.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS))
        temporary.replace(path)


@contextlib.contextmanager
def written_together(*paths: Path, replace: bool = True) -> Iterator[list[Path]]:
    """Yield temporary names, one beside each path, of empty files to be written into.

    On success all are flushed to disk, then all renamed; on failure all are removed, and what was there before stays.
    replace: whether a file that has one of the names may be replaced; other things than files are not. Raises OSError
    (FileExistsError for what is not replaced) that names one of `paths`.
    """
    temporaries: list[_Temporary] = []
    try:
        for path in paths:
            temporaries.append(_Temporary(path))
        yield [temporary.name for temporary in temporaries]
        for temporary in temporaries:
            temporary.flush()
        for temporary in temporaries:
            temporary.publish(replace=replace)
    except OSError as error:
        # A full disk says nothing of where, or names a file that nobody knows of; the person who has to make room
        # wants to know.
        if error.filename is None or is_temporary(Path(os.fsdecode(error.filename))):
            error.filename = str(paths[0] if len(paths) == 1 else paths[0].parent)
        raise
    finally:
        for temporary in temporaries:
            temporary.discard()


@contextlib.contextmanager
def written_whole(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`, of an empty file to be written into; else as `written_together`.

    A path that is such a temporary is yielded itself: it gets its name with the others that it is written with.
    """
    if path in _unfinished:
        yield path
        return
    with written_together(path, replace=replace) as (temporary,):
        yield temporary


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, as UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def create_temporary(path: Path) -> tuple[Path, int]:
    """A new file beside `path` that is to become it, and its descriptor, which holds its lock."""
    while True:
        # The ending stays: writers such as Keras and matplotlib choose the format by it. The rest is cut so that a name
        # as long as the file system allows has a temporary too.
        name = path.with_name(f".{path.stem[:32]}.{os.urandom(4).hex()}.fruitcnn-tmp{path.suffix[:16]}")
        _unfinished.add(name)
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS, 0o666)
        try:
            # Between its making and its locking another process may have taken it for abandoned.
            if lock(descriptor) and name.exists():
                return name, descriptor
        except OSError:
            # A file system without locks: there nobody takes it for abandoned.
            return name, descriptor
        os.close(descriptor)


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder where there is none; where what follows fails, it is not left behind with nothing in it."""
    there = folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if not there:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def make_own_folder(folder: Path, *, option: str) -> None:
    """Make a folder for what a command writes; an empty one is fine, so that it can't cost a file. Raises UsageError.

    option: by which it was named.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("is not an empty folder", value=folder, remedy=f"name a new one ({option})")
    if not folder.absolute().parent.is_dir():
        raise UsageError("no such folder", value=folder.parent, remedy="make it first")
    folder.mkdir(exist_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether `create_temporary` gives such names."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(folder: Path, *, of: Path | None = None) -> None:
    """Remove the temporaries that killed processes left in a folder (of one file); those in use are locked."""
    for path in folder.iterdir():
        if is_temporary(path) and (of is None or _could_be_of(path, of)):
            remove_unlocked(path)


def _could_be_of(temporary: Path, path: Path) -> bool:
    return temporary.name.startswith(f".{path.stem[:32]}.") and temporary.suffix == path.suffix[:16]


def discard_unfinished() -> None:
    """Remove the temporaries of this process, for one that ends at once."""
    for path in list(_unfinished):
        path.unlink(missing_ok=True)


def check_inputs_stay(outputs: Iterable[Path], inputs: Iterable[str | os.PathLike[str] | int]) -> None:
    """Raise UsageError where a file that a command is to write is one that it reads, by whatever name.

    inputs: 0 is standard input. They are only looked at when one of the outputs exists.
    """
    there: dict[tuple[int, int], Path] = {}
    for path in outputs:
        with contextlib.suppress(OSError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                there[found.st_dev, found.st_ino] = path
    for file in inputs if there else ():
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(file)  # noqa: PTH116 (a path of any kind)
            if output := there.get((found.st_dev, found.st_ino)):
                name = file if file != 0 else "standard input"
                raise UsageError(f"is read by this command (as {name})", value=output, remedy="name another file")


def check_output(path: Path, *, force: bool, inputs: Iterable[str | os.PathLike[str] | int] = ()) -> None:
    """Refuse an output that would cost a file: one that exists (unless `force`) or is an input, by whatever name.

    inputs: what is read, 0 for standard input; only looked at when the output exists. Raises UsageError.
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
    if not _is_stream(path, there) and not force:
        raise UsageError("exists already", value=path, remedy="name another file, or replace it with --force")
    check_inputs_stay([path], inputs)


@contextlib.contextmanager
def opened_output(path: Path, *, force: bool) -> Iterator[TextIO]:
    """Open a checked output for UTF-8 text: a FIFO or device as a stream; a file appears whole or not at all.

    A link is written through, a replaced file keeps its mode. Raises FruitcnnError where writing fails, UsageError for
    a file that came after the check, unless `force`, and for whatever else than a file.
    """
    try:
        old = path.stat() if path.exists() else None
        if old is not None and _is_stream(path, old):
            # Appending: what stands behind /dev/stdout may be a file that the shell has begun.
            with open(path, "a", encoding="utf-8", opener=_without_creating) as stream:
                yield stream
            return
        target = path.resolve()
        remove_temporaries(target.parent, of=target)
        with written_whole(target, replace=force) as temporary, temporary.open("w", encoding="utf-8") as file:
            if old is not None:
                # Before the first byte, so that what was private stays so.
                temporary.chmod(stat.S_IMODE(old.st_mode))
            yield file
    except FileExistsError as error:
        remedy = "name another file" if force else "name another file, or replace it with --force"
        raise UsageError("has come into being meanwhile", value=path, remedy=remedy) from error
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error


def _is_stream(path: Path, there: os.stat_result) -> bool:
    return not stat.S_ISREG(there.st_mode) or str(path).startswith(_OPEN_ALREADY)


def _without_creating(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)
