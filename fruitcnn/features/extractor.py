"""A network's features of a whole picture set, computed once and kept.

They are computed by onnxruntime on the CPU, in float32: the graph is the one that is exported, and three times as fast
as the same network in torch.
"""

import contextlib
import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from fruitcnn import cache
from fruitcnn.ahead import mapped_ahead
from fruitcnn.arrays import Float32Array
from fruitcnn.dataset.store import PixelRows
from fruitcnn.image import Pixels
from fruitcnn.outputs import written_whole
from fruitcnn.progress import tracked
from fruitcnn.regular_files import open_regular
from fruitcnn.runtime import Session, batches, shared_out

# Part of the cache's key: raise it when the features of the same weights and pixels change.
_VERSION = 1
# Each thread has one: the network is no faster with more pictures at once, nor by several threads together.
_BATCH = 4
_THREADS = os.cpu_count() or 1

FirstBatch = Callable[[int, float], object]


class Extractor:
    """A network from pixels to features, float32 [batch, D]."""

    def __init__(self, graph: onnx.ModelProto, *, on_first_batch: FirstBatch | None = None) -> None:
        """graph: with this one output; equal graphs mean equal features.

        on_first_batch: called once, after the first batch that had to be computed, with how many pictures are done by
        then, those in the cache too, and the seconds that a picture took.
        """
        self._graph = graph.SerializeToString(deterministic=True)
        self._key = hashlib.sha256(self._graph)
        # By the digest of a picture's pixels.
        self._known: dict[bytes, Float32Array] = {}
        self._session: Session | None = None
        self._done, self._on_first_batch = 0, on_first_batch

    def features(self, pixels: Pixels | PixelRows, *, mirrored: bool = False) -> Float32Array:
        """Features [N, D] of uint8 pixels [N, S, S, 3], from the cache where they are in it.

        mirrored: of the mirror images.
        """
        kind = f"{_VERSION} {onnxruntime.__version__} {mirrored} {pixels.shape[1:]}".encode()
        names = [hashlib.sha256(kind + row.tobytes()).digest() for batch in batches(pixels, _BATCH) for row in batch]
        if all(name in self._known for name in names):
            self._done += len(pixels)
            return np.stack([self._known[name] for name in names])
        key = self._key.copy()
        key.update(b"".join(names))
        entry = cache.cache_folder() / f"{key.hexdigest()}.features.npz"
        found = _read(entry, len(pixels))
        if found is None:
            computed = self._computed(pixels, mirrored=mirrored)
            shown = tracked(computed, "computing features", total=-(-len(pixels) // _BATCH))
            found = np.concatenate(list(shown))
            _write(entry, found)
        else:
            self._done += len(pixels)
        found.flags.writeable = False
        self._known |= zip(names, found, strict=True)
        return found

    def _computed(self, pixels: Pixels | PixelRows, *, mirrored: bool) -> Iterator[Float32Array]:
        at_once, threads = shared_out(_THREADS, pixels.shape[1], batch=_BATCH)
        session = self._session = self._session or Session(self._graph, threads=threads)

        def answer(batch: Pixels) -> Float32Array:
            (features,) = session.answers(list(session.outputs), batch[:, :, ::-1] if mirrored else batch)
            return features

        started = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            for features in mapped_ahead(pool, answer, batches(pixels, _BATCH), ahead=at_once):
                self._done += len(features)
                if self._on_first_batch is not None:
                    told, self._on_first_batch = self._on_first_batch, None
                    first = min(at_once * _BATCH, len(pixels))
                    told(self._done, (time.perf_counter() - started) / first)
                yield features


def _read(entry: Path, count: int) -> Float32Array | None:
    """Features [count, D] from the cache; None where they are not there, or damaged."""
    try:
        with open_regular(entry, through_links=False) as file, np.load(file, allow_pickle=False) as kept:
            found: Float32Array = kept["features"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if found.dtype != np.float32 or found.ndim != 2 or len(found) != count:
        return None
    cache.mark_used(entry)
    return found


def _write(entry: Path, features: Float32Array) -> None:
    # Whoever can't keep them computes them again; of a folder that can't be written to the pixel store has told.
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(entry) as temporary:
            np.savez(temporary, features=features)
        cache.shrink_cache(entry.parent, keep=[entry])
