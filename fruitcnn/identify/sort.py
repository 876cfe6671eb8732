"""Pictures copied or linked into folders of their answers; they themselves stay where they are."""

import contextlib
import csv
import errno
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fruitcnn.errors import FruitcnnError, ImageError, system_error
from fruitcnn.identify.inputs import STDIN
from fruitcnn.identify.results import UNKNOWN, Identification, Rejection
from fruitcnn.identify.tally import REJECTED
from fruitcnn.image import Source
from fruitcnn.image.kinds import kind_of
from fruitcnn.names import free_name, safe_name
from fruitcnn.outputs import make_own_folder, written_whole
from fruitcnn.regular_files import open_regular

# What went where: a row a picture, as it goes, so that it is there too for a command that was stopped.
LIST = "sorted.csv"
_HEADER = ("file", "identify_label", "sorted_to", "error")
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_CHUNK = 1 << 20


class Sorter:
    """Puts pictures into a folder of its own: new or empty, so that it can't cost a file.

    link: symbolic links to the pictures instead of copies of them; what comes from no file is written all the same.
    """

    def __init__(self, folder: Path, labels: Sequence[str], *, link: bool) -> None:
        make_own_folder(folder, option="--sort")
        self._folder, self._link = folder, link
        names = {LIST.casefold()}
        self._rejected, self._unknown, *others = (
            free_name(safe_name(label), names) for label in (REJECTED, UNKNOWN, *labels)
        )
        self._of_label = dict(zip(labels, others, strict=True))
        self._taken: dict[str, set[str]] = {}
        with self._named_errors():
            self._list = (folder / LIST).open("x", encoding="utf-8", errors="backslashreplace", newline="")
            self._write_row(_HEADER)

    def __enter__(self) -> "Sorter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._list.close()

    def place(self, source: Source | None, result: Identification | Rejection) -> None:
        """Put a picture into the folder of its answer. Raises FruitcnnError where that can't be written to.

        source: its file or its bytes, None where there is nothing to put anywhere.
        """
        place, error = "", result.error if isinstance(result, Rejection) else ""
        with self._named_errors():
            try:
                if source is not None:
                    place = self._put(source, result)
            except ImageError as unreadable:
                error = error or f"{unreadable.problem}; {unreadable.remedy}"
            label = REJECTED if isinstance(result, Rejection) else result.identify_label
            self._write_row((result.file, label, place, error))

    def _put(self, source: Source, result: Identification | Rejection) -> str:
        """Where the picture has gone, below the folder. Raises ImageError where it can't be read (any more)."""
        with _opened(source, result.file) as file:
            folder = self._folder_of(result)
            (self._folder / folder).mkdir(exist_ok=True)
            name = free_name(_own_name(source, result.file), self._taken.setdefault(folder, set()))
            target = self._folder / folder / name
            if self._link and not isinstance(source, bytes):
                _link(target, Path(str(source)))
            else:
                _copy(target, file, result.file)
        return f"{folder}/{name}"

    def _folder_of(self, result: Identification | Rejection) -> str:
        if isinstance(result, Rejection):
            return self._rejected
        return self._unknown if result.is_unknown else self._of_label[result.identify_label]

    def _write_row(self, cells: Sequence[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self._list.write(text.getvalue())
        self._list.flush()

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise system_error(error, FruitcnnError, value=error.filename or self._folder) from error


def _own_name(source: Source, name: str) -> str:
    if not isinstance(source, bytes):
        return Path(str(source)).name
    own = safe_name("standard input" if name == STDIN else Path(name).name)
    kind = kind_of(source)
    return own if kind is None or own.lower().endswith(kind.extensions) else own + kind.extensions[0]


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[BinaryIO]:
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else open_regular(Path(str(source)))
    except OSError as error:
        raise system_error(error, ImageError, value=name) from error
    with file:
        yield file


def _link(target: Path, picture: Path) -> None:
    try:
        target.symlink_to(picture.absolute())
    except OSError as error:
        if error.errno in _NO_LINKS:
            problem = "links can't be made there"
            raise FruitcnnError(problem, value=target.parent, remedy="leave out --link, and get copies") from error
        raise


def _copy(target: Path, file: BinaryIO, name: str) -> None:
    """A copy with the picture's dates: photographs are found by them."""
    with written_whole(target, replace=False) as temporary:
        with temporary.open("wb") as copy:
            for chunk in _chunks(file, name):
                copy.write(chunk)
        with contextlib.suppress(io.UnsupportedOperation):
            found = os.fstat(file.fileno())
            os.utime(temporary, ns=(found.st_atime_ns, found.st_mtime_ns))


def _chunks(file: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while chunk := file.read(_CHUNK):
            yield chunk
    except OSError as error:
        raise system_error(error, ImageError, value=name) from error
