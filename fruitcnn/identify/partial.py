"""What a stopped `fruitcnn identify` leaves of its output, and how another one goes on with it.

`NAME.partial`, beside the output, begins with a line of what its rows come from; then they stand as they will in the
output, each written as it is known. It is locked by the process that writes it. The output itself appears whole, at the
end: then the file is gone.
"""

import collections
import contextlib
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.identify.writers import RowFormat
from fruitcnn.locks import lock, remove_same, remove_unlocked
from fruitcnn.outputs import opened_output, written_whole
from fruitcnn.regular_files import NotAFileError, open_regular
from fruitcnn.signals import doing_last
from fruitcnn.temporaries import remove_temporaries
from fruitcnn.terminal import printable

_SUFFIX, _KIND, _MARK = ".partial", "unfinished", "fruitcnn identify"
# Bytes of a name that every common file system takes, and of a first line that is still read as one of ours.
_LONGEST_NAME, _LONGEST_LINE = 255, 1 << 16


class Partial:
    """The rows so far; `stream` takes more.

    done: how many there were before; kinds: of all rows, as a Tally counts them; has_header: whether a header is there.
    """

    def __init__(self, path: Path, descriptor: int, row_format: RowFormat) -> None:
        """descriptor: of the file. A row that was not written to its end is cut off. Raises UsageError."""
        self._path, self._descriptor = path, descriptor
        self.kinds, self.has_header = collections.Counter[str](), False
        with _reader(descriptor) as file:
            whole = len(file.readline())
            for row in row_format.whole_rows(file):
                whole += len(row)
                if row_format.has_header and not self.has_header:
                    self.has_header = True
                else:
                    self.kinds[self._kind(row, row_format)] += 1
        os.ftruncate(descriptor, whole)
        os.lseek(descriptor, whole, os.SEEK_SET)
        self.done = self.kinds.total()
        self.stream = open(descriptor, "w", encoding="utf-8", newline="", closefd=False)  # noqa: SIM115

    def _kind(self, row: bytes, row_format: RowFormat) -> str:
        try:
            return row_format.kind(row.decode("utf-8"))
        except (ValueError, LookupError):
            problem = f"is damaged in row {self.kinds.total() + 1:,}"
            raise UsageError(problem, value=self._path, remedy="begin again with --force, without --resume") from None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """However this ends, the rows stay, and that is told; a file without a row goes."""
        try:
            with doing_last(self._leave):
                yield
                self.stream.flush()
        except BaseException:
            with contextlib.suppress(OSError):
                self.stream.close()
            if words := self._leave():
                print(words, file=sys.stderr)
            raise

    def _leave(self) -> str:
        if self.kinds.total():
            return f"{printable(str(self._path))} has the rows so far: go on with --resume"
        remove_same(self._path, self._descriptor)
        return ""


@contextlib.contextmanager
def partial_output(
    path: Path, origin: Mapping[str, str], row_format: RowFormat, *, force: bool, resume: bool
) -> Iterator[Partial]:
    """The rows of a checked output that is a file to be; at the end they are its content.

    origin: what the rows come from, by names that people know; a resume wants the same. Raises UsageError where
    something stands in the way, nothing is there to go on with, or it comes from something else; FruitcnnError.
    """
    # Beside the file itself, which it becomes.
    target = path.resolve() if path.is_symlink() else path
    partial = partial_name(target)
    try:
        if not resume:
            _begin(partial, origin, target, force=force)
        with _opened(partial) as descriptor:
            _check_origin(partial, descriptor, origin)
            rows = Partial(partial, descriptor, row_format)
            with rows.kept():
                yield rows
                rows.stream.flush()
                with opened_output(path, force=force) as output, _reader(descriptor) as file:
                    file.readline()
                    shutil.copyfileobj(file, output.buffer)
        remove_unlocked(partial)
    except OSError as error:
        raise system_error(error, FruitcnnError, value=path) from error


def partial_name(target: Path) -> Path:
    """Where the rows are until all are there."""
    room = _LONGEST_NAME - len(_SUFFIX)
    return target.with_name(os.fsdecode(os.fsencode(target.name)[:room]) + _SUFFIX)


def _begin(partial: Path, origin: Mapping[str, str], target: Path, *, force: bool) -> None:
    """Make the file with its first line; one of ours that is there is begun again with `force` only."""
    if os.path.lexists(partial):
        with _opened(partial):
            if not force:
                remedy = "go on with --resume, or begin again with --force"
                raise UsageError("is left of a command that was stopped", value=partial, remedy=remedy)
    remove_temporaries(target.parent, of=partial)
    with written_whole(partial, replace=force) as temporary:
        if target.exists():
            # Before the first row, so that what was private stays so.
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.write_text(json.dumps({_KIND: _MARK, **origin}) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _opened(partial: Path) -> Iterator[int]:
    """A descriptor of the file, locked. Raises UsageError for whatever is not ours, or another's just now."""
    try:
        file = open_regular(partial, through_links=False, for_writing=True)
    except FileNotFoundError:
        raise UsageError("there is nothing to go on with", value=partial, remedy="leave out --resume") from None
    except OSError as error:
        if isinstance(error, NotAFileError | IsADirectoryError) or error.errno == errno.ELOOP:
            raise _foreign(partial) from None
        raise
    with file:
        _origin(partial, file.fileno())
        try:
            is_free = lock(file.fileno())
        except OSError:
            # A file system without locks: there nobody can tell.
            is_free = True
        if not is_free:
            raise UsageError("another process is writing it", value=partial, remedy="wait for it, or stop it")
        yield file.fileno()


@contextlib.contextmanager
def _reader(descriptor: int) -> Iterator[BinaryIO]:
    """The file from its beginning."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", closefd=False) as file:
        yield file


def _origin(partial: Path, descriptor: int) -> dict[str, str]:
    """What its first line says. Raises UsageError for a file that has no such line, which is not ours."""
    with _reader(descriptor) as file:
        try:
            found = json.loads(file.readline(_LONGEST_LINE))
        except ValueError:
            raise _foreign(partial) from None
    if not isinstance(found, dict) or found.pop(_KIND, None) != _MARK:
        raise _foreign(partial)
    return found


def _foreign(partial: Path) -> UsageError:
    problem = "has the name of the rows so far, and is none of them"
    return UsageError(problem, value=partial, remedy="move it away, or name another --output")


def _check_origin(partial: Path, descriptor: int, origin: Mapping[str, str]) -> None:
    found = _origin(partial, descriptor)
    changed = [
        f"{name} {found.get(name, 'not known')}, now {value}"
        for name, value in origin.items()
        if found.get(name) != value
    ]
    if changed:
        remedy = "give the same as at its start, or begin again with --force, without --resume"
        raise UsageError(printable(f"was begun with {'; '.join(changed)}"), value=partial, remedy=remedy)
