"""Decode a data set once: all pictures as one uint8 array, with their perceptual hashes, kept in a cache.

The cache is keyed by the content of the files and by everything that decides the pixels, so it needs no clearing; two
runs at once write the same bytes under different temporary names, and a run killed in mid-write leaves no entry.
"""

import dataclasses
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagehash
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ImageOps
from rich.progress import track

from fruitcnn.errors import ImageError
from fruitcnn.files import written_whole
from fruitcnn.image import SCALED_MARGIN, Pixels, decode, resize

# Part of the cache's key: raise it when decoding or hashing changes.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class DecodedSet:
    """What decoding N files gave, in their order.

    sha256: of each file's bytes, "" where it could not be read; pixels: uint8 [M, S, S, 3] of the M good ones;
    hashes: uint64 [M, 2], the perceptual hash of each good one and of its mirror image;
    errors: reason by index of the N - M bad ones.
    """

    sha256: list[str]
    pixels: Pixels
    hashes: NDArray[np.uint64]
    errors: dict[int, str]


def cache_folder() -> Path:
    """Where decoded pixels are kept: $FRUITCNN_CACHE, else fruitcnn in the user's cache folder."""
    own = os.environ.get("FRUITCNN_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruitcnn"


def decode_set(paths: list[Path], size: int, *, quiet: bool = True) -> DecodedSet:
    """Decode files to RGB pixels of [size, size], in parallel, or take them from the cache."""
    with ThreadPoolExecutor() as pool:
        sha256 = list(pool.map(_sha256, paths))
        key = hashlib.sha256(f"{_VERSION} {PIL.__version__} {size}\n{' '.join(sha256)}".encode()).hexdigest()
        entry = cache_folder() / f"{key}.npz"
        if not entry.is_file():
            items = pool.map(lambda path: _decode(path, size), paths)
            _store(entry, list(track(items, "Decoding", total=len(paths), disable=quiet, transient=True)), size)
    with np.load(entry) as kept:
        errors = {int(index): reason for index, reason in json.loads(str(kept["errors"])).items()}
        return DecodedSet(sha256, kept["pixels"], kept["hashes"], errors)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _decode(path: Path, size: int) -> tuple[Pixels, list[int]] | str:
    try:
        image = decode(path, at_least=SCALED_MARGIN * size)
    except ImageError as error:
        return f"{error.problem}; {error.remedy}"
    hashes = [int(str(imagehash.phash(view)), 16) for view in (image, ImageOps.mirror(image))]
    return resize(image, size), hashes


def _store(entry: Path, items: list[tuple[Pixels, list[int]] | str], size: int) -> None:
    good = [item for item in items if not isinstance(item, str)]
    errors = {index: item for index, item in enumerate(items) if isinstance(item, str)}
    entry.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(entry) as temporary:
        np.savez(
            temporary,
            pixels=np.array([pixels for pixels, _ in good], np.uint8).reshape(-1, size, size, 3),
            hashes=np.array([hashes for _, hashes in good], np.uint64).reshape(-1, 2),
            errors=json.dumps(errors),
        )
