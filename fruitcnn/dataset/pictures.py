"""Reading pictures for a data set: each file read once, hashed, and decoded once for all sizes where it is new."""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from fruitcnn.ahead import mapped_ahead
from fruitcnn.dataset.hashes import HASHED_SIZE, perceptual_hashes
from fruitcnn.dataset.records import Record
from fruitcnn.dataset.shelf import Facts, Hashes
from fruitcnn.dataset.store import PixelStore
from fruitcnn.errors import ImageError, TransientError
from fruitcnn.image import SCALED_MARGIN, Pixels, decoded_size, opened, read_bytes
from fruitcnn.progress import tracked

_THREADS = min(8, os.cpu_count() or 1)
# Files that are read ahead of the one that is stored, so that memory stays the same however large the set is.
_AHEAD = 4 * _THREADS

_NO_FACTS = Facts((0, 0))


@dataclasses.dataclass(frozen=True)
class _Picture:
    sha256: str
    facts: Facts = _NO_FACTS
    pixels: dict[int, Pixels] = dataclasses.field(default_factory=dict)
    error: str = ""


def read_pictures(records: list[Record], store: PixelStore) -> list[Record]:
    """The records with sha256 and hashes, or the error of those that can't be read; their pixels go to the store.

    Raises TransientError where a picture can't be read for want of memory, open files or a sound disk: leaving it out
    would blame it for that.
    """
    read = []
    # What was decoded before a failure or Ctrl-C is kept, too.
    with contextlib.closing(store), ThreadPoolExecutor(_THREADS) as pool:
        pictures = mapped_ahead(pool, lambda record: _read(record, store), records, ahead=_AHEAD)
        read_so_far = tracked(pictures, "reading pictures", total=len(records))
        for record, picture in zip(records, read_so_far, strict=True):
            if not picture.error:
                store.add(bytes.fromhex(picture.sha256), picture.facts, picture.pixels)
            found = dataclasses.replace(record, sha256=picture.sha256, error=picture.error)
            read.append(dataclasses.replace(found, **picture.facts._asdict()))
    return read


def _read(record: Record, store: PixelStore) -> _Picture:
    sha256 = ""
    try:
        data = read_bytes(record.path)
        sha256 = hashlib.sha256(data).hexdigest()
        facts, missing = store.find(bytes.fromhex(sha256))
        if facts is not None and not missing:
            return _Picture(sha256, facts)
        return _decode(sha256, data, missing)
    except TransientError as error:
        raise TransientError(error.problem, value=record.path, remedy=error.remedy) from error
    except ImageError as error:
        return _Picture(sha256, error=f"{error.problem}; {error.remedy}")


def _decode(sha256: str, data: bytes, sizes: Collection[int]) -> _Picture:
    """With hashes, and pixels uint8 [S, S, 3] by size: the same as `load_pixels` gives.

    A large JPEG is decoded at a fraction of its size, and only once for all that ask for the same fraction.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for size in dict.fromkeys((HASHED_SIZE, *sizes)):
        groups.setdefault(decoded_size(data, at_least=SCALED_MARGIN * size), []).append(size)
    hashes: Hashes = (0, 0)
    pixels, warning = {}, ""
    for group in groups.values():
        with opened(data, at_least=SCALED_MARGIN * group[0]) as picture:
            if HASHED_SIZE in group:
                hashes = perceptual_hashes(picture.rgb())
            pixels.update({size: picture.pixels(size) for size in group if size in sizes})
            warning = warning or picture.warning
    return _Picture(sha256, Facts(hashes, warning), pixels)
