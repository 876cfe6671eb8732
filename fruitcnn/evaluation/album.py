"""The pictures of a report: small, each with what its answer comes from, as they were when they were answered."""

import io
import os
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fruitcnn.ahead import AHEAD, mapped_ahead
from fruitcnn.arrays import FloatArray
from fruitcnn.errors import ImageError, TransientError
from fruitcnn.evaluation.predictions import Prediction
from fruitcnn.identify.explain import evidence_for, shade
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.image import SCALED_MARGIN, Picture, opened

# Long side in pixels, and JPEG quality: 3 to 4 KB a picture, so that 300 of them and their maps stay far below 5 MB.
_SIDE, _QUALITY = 128, 62
# Bytes that are kept in memory; what is beyond lies in a file without a name.
_IN_MEMORY = 64_000_000

# A picture of a data set and one of other things may have one name: the split tells them apart.
Key = tuple[str, str]


def key_of(row: Prediction) -> Key:
    """What a picture is found by."""
    return row.file, row.split


class _Place(NamedTuple):
    start: int
    length: int


class _Page(NamedTuple):
    picture: _Place
    evidence: FloatArray | None  # [h, w]
    explained: _Place | None


class Album:
    """Small JPEGs of pictures, by file and split.

    paths: where those lie that are read when they are asked for first; all others are added as they are answered.
    """

    def __init__(self, identifier: Identifier, paths: Mapping[Key, Path] | None = None) -> None:
        self._identifier, self._paths = identifier, paths or {}
        self._pages: dict[Key, _Page] = {}
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the album
        self._end = 0

    def add(self, key: Key, picture: Image.Image, result: Identification, *, explained: bool) -> None:
        """Keep a small picture. explained: what its answer comes from is likely to be asked for."""
        evidence = None
        if result.evidence is not None:
            evidence = evidence_for(result.evidence, result.labels.index(result.likeliest_label))
        shaded = self._write(shade(picture, evidence)) if explained and evidence is not None else None
        self._pages[key] = _Page(self._write(picture), evidence, shaded)

    def fill(self, wanted: Iterable[tuple[Key, bool]]) -> None:
        """Read those of the pictures that are not there yet; what can't be read any more stays out.

        wanted: each with whether it has to be `explained`, for which it is identified.
        """
        missing = {key: explained for key, explained in wanted if key not in self._pages and key in self._paths}
        plain = [key for key, explained in missing.items() if not explained]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            small = mapped_ahead(pool, self._small, plain, ahead=AHEAD, again=_is_transient)
            for key, picture in zip(plain, small, strict=True):
                if not isinstance(picture, ImageError):
                    self._pages[key] = _Page(self._write(picture), None, None)
        self._identify([key for key, explained in missing.items() if explained])

    def _identify(self, keys: list[Key]) -> None:
        paths, evidence = (self._paths[key] for key in keys), self._identifier.has_evidence
        found = self._identifier.observe_many(paths, small_picture, evidence=evidence)
        for key, (result, picture) in zip(keys, found, strict=True):
            if picture is not None and not isinstance(result, Rejection):
                self.add(key, picture, result, explained=False)

    def _small(self, key: Key) -> Image.Image | ImageError:
        try:
            with opened(self._paths[key], at_least=SCALED_MARGIN * self._identifier.card.size) as picture:
                return small_picture(b"", picture)
        except ImageError as error:
            return error

    def picture(self, key: Key) -> bytes | None:
        """A picture as JPEG; None where there is none."""
        page = self._pages.get(key)
        return page and self._read(page.picture)

    def explained(self, key: Key) -> bytes | None:
        """The same in grey, with what its answer comes from laid over it; None where the model does not say."""
        page = self._pages.get(key)
        if page is None or page.evidence is None:
            return None
        if page.explained is not None:
            return self._read(page.explained)
        with Image.open(io.BytesIO(self._read(page.picture))) as picture:
            return _jpeg(shade(picture, page.evidence))

    def close(self) -> None:
        """Let go of the pictures."""
        self._file.close()

    def _write(self, image: Image.Image) -> _Place:
        data = _jpeg(image)
        self._file.seek(self._end)
        self._file.write(data)
        place = _Place(self._end, len(data))
        self._end += len(data)
        return place

    def _read(self, place: _Place) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.length)


def _is_transient(picture: Image.Image | ImageError) -> bool:
    return isinstance(picture, TransientError)


def small_picture(data: bytes, picture: Picture) -> Image.Image:
    """What an album keeps of a decoded picture."""
    return picture.thumbnail(_SIDE)


def _jpeg(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_QUALITY, optimize=True)
    return data.getvalue()
