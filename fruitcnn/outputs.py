"""Files that are written: whole or not at all, and never over another's."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.temporaries import (
    Temporary,
    is_temporary,
    is_unfinished,
    remove_temporaries,
    rename_together,
    temporary_folder,
)

# Names of what a process has open already: writing to them never means replacing the file behind them.
_OPEN_ALREADY = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")


@contextlib.contextmanager
def written_together(*paths: Path, replace: bool = True, alone: bool = False) -> Iterator[list[Path]]:
    """Yield temporary names, one beside each path, of empty files to be written into.

    On success all are flushed to disk, then all renamed; on failure all are removed, and what was there before stays:
    see `rename_together`, also for `replace`. alone: raise HeldError where another process writes one of the paths.
    Raises OSError (FileExistsError for what is not replaced) that names one of `paths`.
    """
    temporaries: list[Temporary] = []
    try:
        for path in paths:
            temporaries.append(Temporary(path, alone=alone))
        yield [temporary.name for temporary in temporaries]
        for temporary in temporaries:
            temporary.flush()
        rename_together([(temporary.name, temporary.path) for temporary in temporaries], replace=replace)
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
def written_whole(path: Path, *, replace: bool = True, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, of an empty file to be written into; else as `written_together`.

    A path that is such a temporary is yielded itself: it gets its name with the others that it is written with.
    """
    if is_unfinished(path):
        yield path
        return
    with written_together(path, replace=replace, alone=alone) as (temporary,):
        yield temporary


@contextlib.contextmanager
def written_folder(path: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a new folder beside `path`, whose content gets that place when it is whole, or never.

    replace: where a folder has the name, its files of the same names are replaced, the deepest first, and its other
    ones stay; False: it must be empty, else FileExistsError. Links in it are not followed. Raises OSError that names
    `path` or what is below it.
    """
    try:
        with temporary_folder(path) as folder:
            yield folder
            files = sorted((file for file in folder.rglob("*") if file.is_file()), key=_depth)
            for file in files:
                _flush(file)
            if replace and path.is_dir():
                _fill(path, folder, files)
            elif path.is_symlink():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            else:
                # Over an empty folder, too.
                folder.rename(path)
    except OSError as error:
        if error.filename is None or any(is_temporary(Path(name)) for name in Path(os.fsdecode(error.filename)).parts):
            error.filename = str(path)
        raise


def _fill(path: Path, folder: Path, files: list[Path]) -> None:
    with contextlib.ExitStack() as made:
        for file in files:
            for parent in reversed(file.relative_to(folder).parents):
                if (path / parent).is_symlink() and parent != Path():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path / parent))
                made.enter_context(made_folder(path / parent))
        rename_together([(file, path / file.relative_to(folder)) for file in files], replace=True)


def _depth(file: Path) -> tuple[int, Path]:
    return -len(file.parts), file


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, as UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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


def check_output(path: Path, *, force: bool | None, inputs: Iterable[str | os.PathLike[str] | int] = ()) -> None:
    """Refuse an output that would cost a file: one that exists (unless `force`) or is an input, by whatever name.

    force: None where the command replaces nothing. inputs: what is read, 0 for standard input; only looked at when the
    output exists. Raises UsageError.
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
    if not is_stream(path) and not force:
        remedy = "name another file" if force is None else "name another file, or replace it with --force"
        raise UsageError("exists already", value=path, remedy=remedy)
    check_inputs_stay([path], inputs)


@contextlib.contextmanager
def opened_output(path: Path, *, force: bool) -> Iterator[TextIO]:
    """Open a checked output for UTF-8 text: a FIFO or device as a stream; a file appears whole or not at all.

    A link is written through, a replaced file keeps its mode. Raises FruitcnnError where writing fails, UsageError for
    a file that came after the check, unless `force`, and for whatever else than a file.
    """
    try:
        old = path.stat() if path.exists() else None
        if old is not None and is_stream(path):
            # Appending: what stands behind /dev/stdout may be a file that the shell has begun.
            with open(path, "a", encoding="utf-8", opener=_without_creating) as stream:
                yield stream
            return
        target = path.resolve()
        remove_temporaries(target.parent, of=target)
        with (
            written_whole(target, replace=force, alone=True) as temporary,
            temporary.open("w", encoding="utf-8") as file,
        ):
            if old is not None:
                # Before the first byte, so that what was private stays so.
                temporary.chmod(stat.S_IMODE(old.st_mode))
            yield file
    except FileExistsError as error:
        remedy = "name another file" if force else "name another file, or replace it with --force"
        raise UsageError("has come into being meanwhile", value=path, remedy=remedy) from error
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error


def is_stream(path: Path) -> bool:
    """Whether a path is that of a stream: what is written there goes on to others at once."""
    return path.exists() and (not path.is_file() or str(path).startswith(_OPEN_ALREADY))


def _without_creating(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)
