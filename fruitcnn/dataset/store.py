"""The pixel store: every picture that was ever decoded, at every size that was asked for, up to a limit.

Pictures are found by the content of their files, so renaming and moving files costs nothing, and one new photograph
decodes itself alone. Pictures that can't be decoded are not in it: they are tried again each time.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fruitcnn import cache
from fruitcnn.dataset.shelf import Facts, Shelf, ShelfWriter, is_shelf, open_shelf
from fruitcnn.image import Pixels

# Bytes of pixels after which a shelf is closed: what a killed scan loses at most, and what is dropped at once.
_SHELF_BYTES = 256 << 20


class PixelRows:
    """Pixels uint8 [M, S, S, 3] on disk. An index, slice or index array reads those rows into memory."""

    dtype = np.dtype(np.uint8)

    def __init__(self, places: list[tuple[Shelf, int]], size: int) -> None:
        self._places = places
        self.shape = (len(places), size, size, 3)
        self.nbytes = len(places) * size * size * 3

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int | slice | NDArray[np.integer] | list[int]) -> Pixels:
        if isinstance(index, int | np.integer):
            one: Pixels = self[[int(index)]][0]
            return one
        chosen = np.arange(len(self))[index]
        pixels = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        self.read_into(pixels, chosen.tolist())
        return pixels

    def __iter__(self) -> Iterator[Pixels]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def batches(self, size: int) -> Iterator[Pixels]:
        """All rows in order, at most `size` at a time: uint8 [size, S, S, 3]."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def read_into(self, pixels: Pixels, chosen: Iterable[int]) -> None:
        """Fill `pixels`, uint8 [K, S, S, 3], with the K chosen rows."""
        for place, index in enumerate(chosen):
            shelf, row = self._places[index]
            shelf.read(row, pixels[place])


class PixelStore:
    """Rows of pixels at some sizes by the sha256 of their files; `failure` says why nothing is kept, if so.

    `find` may be called from several threads, the other methods from one.
    """

    def __init__(self, sizes: Iterable[int]) -> None:
        self.folder, self.failure = cache.cache_folder(), ""
        self._rows: dict[int, dict[bytes, tuple[Shelf, int]]] = {size: {} for size in sizes}
        self._writers: dict[int, ShelfWriter] = {}
        cache.remove_abandoned(self.folder)
        for size in self._rows:
            self._open_shelves(size)

    def _open_shelves(self, size: int) -> None:
        names = (entry.path for entry in cache.find_entries(self.folder) if is_shelf(entry.path, size))
        for path in sorted(names):
            try:
                shelf = open_shelf(path, size)
            except OSError:
                cache.drop(path)
                continue
            if shelf is not None:
                self._rows[size].update((key, (shelf, row)) for row, key in enumerate(shelf.keys()))

    def find(self, sha256: bytes) -> tuple[Facts | None, list[int]]:
        """What is known of a picture, None where it is there at no size; and the sizes at which it is missing."""
        facts, missing = None, []
        for size, rows in self._rows.items():
            shelf, row = rows.get(sha256, (None, 0))
            if shelf is not None and shelf.is_intact(row):
                facts = shelf.facts(row)
                continue
            missing.append(size)
            rows.pop(sha256, None)
            if shelf is not None and shelf.path is not None:
                # The rest of the file may be as bad. What was found in it before can be read on; the next scan
                # decodes its pictures again.
                cache.drop(shelf.path)
        return facts, missing

    def add(self, sha256: bytes, facts: Facts, pixels: dict[int, Pixels]) -> None:
        """Keep a picture at some sizes: pixels uint8 [S, S, 3] by S. What is there already stays as it is."""
        for size, picture in pixels.items():
            if sha256 in self._rows[size]:
                continue
            if size not in self._writers:
                self._writers[size] = ShelfWriter(size, self.folder)
            writer = self._writers[size]
            self._rows[size][sha256] = writer.shelf, writer.append(sha256, facts, picture)
            if len(writer) * picture.nbytes >= _SHELF_BYTES:
                self._publish(size)

    def _publish(self, size: int) -> None:
        writer = self._writers.pop(size)
        writer.publish()
        self.failure = self.failure or writer.failure

    def close(self) -> None:
        """Let other processes find what was added, and keep the folder within its limit. Rows can be read on."""
        for size in list(self._writers):
            self._publish(size)
        used = {shelf.path for rows in self._rows.values() for shelf, _ in rows.values() if shelf.file is not None}
        for path in used:
            if path is not None:
                cache.mark_used(path)
        cache.shrink_cache(self.folder, keep=used)

    def rows(self, sha256: Iterable[str], size: int) -> PixelRows:
        """The pixels of pictures, by the sha256 of their files in hex; KeyError where one or the size is not there."""
        found = self._rows[size]
        return PixelRows([found[bytes.fromhex(name)] for name in sha256], size)
