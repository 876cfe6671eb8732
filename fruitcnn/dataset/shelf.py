"""A file of decoded pictures, found by the content of the file that each was decoded from.

Layout: a row of pixels (uint8 [S, S, 3]) a picture, then the table (an ENTRY a row), then the warnings that entries
number from 1 (a list in JSON), then the footer. A shelf is written under a temporary name that a lock holds until its
process ends, gets its own name when it is whole, and never changes afterwards: readers need no lock, and what a killed
process leaves is known by its lock being free.
"""

import contextlib
import errno
import hashlib
import json
import os
import struct
import tempfile
import threading
import zlib
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from fruitcnn.errors import DatasetError, system_error
from fruitcnn.image import SCALED_MARGIN, Pixels
from fruitcnn.regular_files import NOT_THROUGH_LINKS, WITHOUT_WAITING, open_regular
from fruitcnn.temporaries import create_temporary, rename_over_file

_FORMAT = 3
_ENDING = ".pixels"
# Everything beside the file's content that decides its pixels and hashes. Raise the last number when they change.
_DECODER = f"{PIL.__version__} {features.version_codec('jpg')} {SCALED_MARGIN} 3"
ENTRY = np.dtype([("sha256", "u1", 32), ("hashes", "<u8", 2), ("crc", "<u4"), ("warning", "<u4")])
# What it is, by which decoder, side of a picture, number of rows, bytes of the warnings, checksum of these and the
# table.
_FOOTER = struct.Struct("<16s16sIQQI")
_MAGIC = b"fruitcnn pixels\n"

# Perceptual hashes of a picture and of its mirror image.
Hashes: TypeAlias = tuple[int, int]
# What is known of each row, in the order of ENTRY.
Table: TypeAlias = NDArray[np.void] | list[tuple[bytes, Hashes, int, int]]


class Facts(NamedTuple):
    """What is kept of a picture besides its pixels; warning: what is wrong with one that could be read all the same."""

    hashes: Hashes
    warning: str = ""


class Shelf:
    """Rows of pixels [size, size, 3] in one file (a descriptor), opened when first read.

    table: an entry a row; warnings: those that they number, from 1.
    """

    def __init__(
        self, size: int, path: Path | None, table: Table, warnings: list[str], file: int | None = None
    ) -> None:
        self.size, self.path, self.table, self.warnings, self.file = size, path, table, warnings, file
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if self.file is not None:
            os.close(self.file)

    def keys(self) -> list[bytes]:
        """The sha256 of each row's file."""
        return [bytes(entry[0]) for entry in self.table]

    def facts(self, row: int) -> Facts:
        """What is known of a row's picture."""
        _, (first, second), _, warning = self.table[row]
        return Facts((int(first), int(second)), self.warnings[warning - 1] if warning else "")

    def is_intact(self, row: int) -> bool:
        """Whether a row still is what was written."""
        pixels = np.empty((self.size, self.size, 3), np.uint8)
        try:
            self.read(row, pixels)
        except OSError:
            return False
        return zlib.crc32(pixels.data) == int(self.table[row][2])

    def read(self, row: int, into: Pixels) -> None:
        """Fill `into`, uint8 [size, size, 3] and contiguous. Raises OSError where the file no longer has it."""
        with self._lock:
            if self.file is None and self.path is not None:
                self.file = os.open(self.path, os.O_RDONLY | WITHOUT_WAITING | NOT_THROUGH_LINKS)
        assert self.file is not None
        buffer = into.data.cast("B")
        if os.preadv(self.file, [buffer], row * len(buffer)) != len(buffer):
            raise OSError(f"{self.path} is cut off")


def is_shelf(path: Path, size: int) -> bool:
    """Whether a name in the cache is that of a shelf in this format, with pictures of this size."""
    return path.suffix == _ENDING and path.name.startswith(f"{_FORMAT}-{size}-")


def open_shelf(path: Path, size: int) -> Shelf | None:
    """A shelf; None for one that another decoder has filled. Raises OSError for one that is damaged or gone."""
    with open_regular(path, through_links=False) as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _FOOTER.size))
        footer = file.read()
        if len(footer) != _FOOTER.size:
            raise OSError(f"{path} is cut off")
        magic, decoder, side, count, words, crc = _FOOTER.unpack(footer)
        start = count * size * size * 3
        end = count * ENTRY.itemsize
        if magic != _MAGIC or side != size or start + end + words + _FOOTER.size != length:
            raise OSError(f"{path} is damaged")
        if decoder != _decoder_id():
            return None
        file.seek(start)
        data = file.read(end + words)
    if zlib.crc32(data) != crc:
        raise OSError(f"{path} is damaged")
    return Shelf(size, path, np.frombuffer(data[:end], ENTRY), json.loads(data[end:]))


class ShelfWriter:
    """A shelf that grows row by row; its rows can be read at once, by other processes after `publish`.

    Where the folder can't be written to, the rows go to a file of this process alone, and `failure` says why.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self.folder, self.failure = folder, ""
        self.entries: list[tuple[bytes, Hashes, int, int]] = []
        # The same one stands for many pictures.
        self._warnings: list[str] = []
        self._row_bytes = size * size * 3
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path, file = create_temporary(folder / _ENDING[1:])
            self.shelf = Shelf(size, path, self.entries, self._warnings, file)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # Not the folder's fault, and a file elsewhere could not be opened either.
                raise system_error(error, DatasetError) from error
            self.shelf = Shelf(size, None, self.entries, self._warnings, _own_file())
            self.failure = _reason(error)

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, sha256: bytes, facts: Facts, pixels: Pixels) -> int:
        """Add a picture; returns its row."""
        row = len(self.entries)
        data = np.ascontiguousarray(pixels).tobytes()
        self._write_row(data, row * self._row_bytes)
        self.entries.append((sha256, facts.hashes, zlib.crc32(data), self._number(facts.warning)))
        return row

    def _number(self, warning: str) -> int:
        if warning and warning not in self._warnings:
            self._warnings.append(warning)
        return self._warnings.index(warning) + 1 if warning else 0

    def publish(self) -> None:
        """Complete the file and give it the name by which others find it."""
        if self.shelf.path is None:
            return
        table = np.zeros(len(self.entries), ENTRY)
        for row, (sha256, hashes, crc, warning) in zip(table, self.entries, strict=True):
            row["sha256"], row["hashes"] = np.frombuffer(sha256, np.uint8), hashes
            row["crc"], row["warning"] = crc, warning
        words = json.dumps(self._warnings).encode()
        data = table.tobytes() + words
        footer = _FOOTER.pack(_MAGIC, _decoder_id(), self.shelf.size, len(table), len(words), zlib.crc32(data))
        # Named by content: two processes that decode the same pictures at once leave one file.
        key = hashlib.sha256(_decoder_id() + b"".join(entry[0] for entry in self.entries)).hexdigest()[:32]
        final = self.folder / f"{_FORMAT}-{self.shelf.size}-{key}{_ENDING}"
        try:
            _write_at(self.shelf.file, data + footer, len(table) * self._row_bytes)
            rename_over_file(self.shelf.path, final)
            self.shelf.path = final
        except OSError as error:
            self._leave_folder(error)

    def _write_row(self, data: bytes, offset: int) -> None:
        try:
            _write_at(self.shelf.file, data, offset)
        except OSError as error:
            if self.shelf.path is None:
                raise system_error(error, DatasetError, value=tempfile.gettempdir()) from error
            self._leave_folder(error)
            self._write_row(data, offset)

    def _leave_folder(self, error: OSError) -> None:
        """Go on in a file of this process alone, with the rows written so far."""
        self.failure = _reason(error)
        before, own = self.shelf.file, _own_file()
        assert before is not None and self.shelf.path is not None
        with contextlib.suppress(OSError):
            self.shelf.path.unlink()
        for row in range(len(self.entries)):
            start = row * self._row_bytes
            _write_at(own, os.pread(before, self._row_bytes, start), start)
        self.shelf.path, self.shelf.file = None, own
        os.close(before)


def _own_file() -> int:
    """A file without a name, which is gone with this process."""
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise system_error(error, DatasetError, value=tempfile.gettempdir()) from error


def _write_at(file: int | None, data: bytes, offset: int) -> None:
    assert file is not None
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written


def _decoder_id() -> bytes:
    return hashlib.sha256(_DECODER.encode()).digest()[:16]


def _reason(error: OSError) -> str:
    return system_error(error, DatasetError, value="").problem
