"""Temporaries: what is being written, beside the name that it gets when it is whole; and what killed processes left."""

import contextlib
import dataclasses
import errno
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fruitcnn.locks import HeldError, is_locked, lock, remove_same, remove_unlocked
from fruitcnn.regular_files import NOT_THROUGH_LINKS

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.fruitcnn-tmp(\..*)?", re.DOTALL)
# A folder that is being written bears the name of the temporary file whose lock says so, and this.
_FOLDER = ".folder"
# What file systems say that know no second name for a file.
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK)


@dataclasses.dataclass(frozen=True)
class _Renaming:
    """new: what gets the name of `path`. before: a second name of what has it now, where one is kept; is_free: whether
    nothing has it.
    """

    path: Path
    new: os.stat_result
    before: Path | None
    is_free: bool

    def undo(self) -> None:
        """Whether it was done or not."""
        with contextlib.suppress(OSError):
            if self.before is not None:
                self.before.replace(self.path)
                # Of two names of one file neither replaces the other.
                self.before.unlink(missing_ok=True)
            elif self.is_free and os.path.samestat(self.path.lstat(), self.new):
                self.path.unlink()


# Temporaries of what is being written, and the renamings that may have to be undone.
_unfinished: set[Path] = set()
_undone: list[list[_Renaming]] = []


class Temporary:
    """A new file beside `path`, locked by this process until it is published or discarded: others leave it alone.

    alone: as `create_temporary`.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        self.path = path
        self.name, self._descriptor = create_temporary(path, alone=alone)

    def flush(self) -> None:
        """See that the content is on the disk."""
        if not os.path.samestat(os.fstat(self._descriptor), self.name.lstat()):
            raise AssertionError(f"{self.path}: its temporary was to be written into, and was replaced")
        os.fsync(self._descriptor)
        if os.name == "nt":
            # What is open keeps its name there.
            self._close()

    def discard(self) -> None:
        """Remove it, where it has not been published."""
        # By now another process may have a temporary of that name.
        if self._descriptor >= 0:
            remove_same(self.name, self._descriptor)
        _unfinished.discard(self.name)
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def create_temporary(path: Path, *, alone: bool = False) -> tuple[Path, int]:
    """A new file beside `path` that is to become it, and its descriptor, which holds its lock.

    alone: raise HeldError where another process has such a file of the same path.
    """
    while True:
        # The ending stays: writers such as Keras and matplotlib choose the format by it. The rest is cut so that a name
        # as long as the file system allows has a temporary too.
        token = zlib.crc32(os.fsencode(path.name)).to_bytes(4) if alone else os.urandom(4)
        name = path.with_name(f".{path.stem[:32]}.{token.hex()}.fruitcnn-tmp{path.suffix[:16]}")
        if not alone:
            _unfinished.add(name)
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS, 0o666)
        except FileExistsError:
            if alone and not remove_unlocked(name):
                if is_locked(name):
                    raise _in_use(path) from None
                # Something else has the name, or the file system knows no locks.
                alone = False
            continue
        _unfinished.add(name)
        try:
            # Between its making and its locking another process may have taken it for abandoned.
            if lock(descriptor) and name.exists():
                return name, descriptor
        except OSError:
            # A file system without locks: there nobody takes it for abandoned.
            return name, descriptor
        os.close(descriptor)


def _in_use(path: Path) -> HeldError:
    return HeldError("is being written by another process", value=path, remedy="wait for it, or name another file")


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, removed at the end with all that still is in it, or when its process was killed."""
    file = Temporary(path)
    folder = file.name.with_name(file.name.name + _FOLDER)
    try:
        _unfinished.add(folder)
        folder.mkdir()
        yield folder
    finally:
        _remove_folder(folder)
        _unfinished.discard(folder)
        file.discard()


def rename_together(moves: Sequence[tuple[Path, Path]], *, replace: bool) -> None:
    """Give each file its name; where one does not get it, what had the names before has them again.

    replace: whether files that have the names are replaced, else FileExistsError; other things than files never are.
    Signals that end this process undo it too. What is killed between two renamings leaves old files beside new ones,
    each of them whole; so does what fails there on a file system without hard links.
    """
    done: list[_Renaming] = []
    _undone.append(done)
    try:
        for name, path in moves:
            # Known before it is done: a signal may come at any moment.
            before = _second_name(path) if replace and len(moves) > 1 else None
            done.append(_Renaming(path, name.lstat(), before, not os.path.lexists(path)))
            if replace:
                rename_over_file(name, path)
            else:
                _rename_to_free_name(name, path)
    except BaseException:
        _undo(done)
        raise
    finally:
        _undone.remove(done)
        for renaming in done:
            if renaming.before is not None:
                renaming.before.unlink(missing_ok=True)


def _undo(done: list[_Renaming]) -> None:
    for renaming in reversed(done):
        renaming.undo()


def _second_name(path: Path) -> Path | None:
    """A second name of a file, like that of a temporary; None where there is no file, or no file has two names."""
    name = path.with_name(f".{path.stem[:32]}.{os.urandom(4).hex()}.fruitcnn-tmp{path.suffix[:16]}")
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            name.hardlink_to(path)
            return name
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    return None


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
            error.filename = str(path)
            raise
        # The name is taken with an empty file, of which nothing is lost.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOT_THROUGH_LINKS))
        temporary.replace(path)


def is_temporary(path: Path) -> bool:
    """Whether `create_temporary` gives such names."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_unfinished(path: Path) -> bool:
    """Whether this process has begun to write it, under this name."""
    return path in _unfinished


def remove_temporaries(folder: Path, *, of: Path | None = None) -> None:
    """Remove the temporaries that killed processes left in a folder (of one file); those in use are locked."""
    for path in list(folder.iterdir()):
        if is_temporary(path) and (of is None or _could_be_of(path, of)):
            remove_unlocked(path, before=lambda file: _remove_folder(file.with_name(file.name + _FOLDER)))


def _could_be_of(temporary: Path, path: Path) -> bool:
    return temporary.name.startswith(f".{path.stem[:32]}.") and temporary.suffix == path.suffix[:16]


def _remove_folder(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


def discard_unfinished() -> None:
    """Undo what this process is about to publish and remove its temporaries, for one that ends at once."""
    for done in list(_undone):
        _undo(list(done))
    # Folders first: by their files others know that they are abandoned.
    for path in sorted(_unfinished, key=lambda path: not path.name.endswith(_FOLDER)):
        if path.name.endswith(_FOLDER):
            _remove_folder(path)
        else:
            path.unlink(missing_ok=True)
