"""Pictures of which only hashes are at hand: whether a new one is nearly one of them."""

import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.duplicates import LEAST_LIKENESS, NEAR, WORTH_A_LOOK, coarse_vectors
from fruitcnn.dataset.second_look import LOOK_SIZE, are_same
from fruitcnn.dataset.store import PixelStore
from fruitcnn.image import Pixels

# So many of the likeliest are looked at: of a fixed camera all are near.
_LOOKS = 8


class KnownPictures:
    """Pictures that a run has used: perceptual hashes uint64 [M], and the sha256 of their files, in hex, [M].

    Where this machine's cache has a small picture of one, as after training here, a second look decides; of others the
    hash does. May be asked by several threads.
    """

    def __init__(self, hashes: NDArray[np.uint64], sha256: Sequence[str]) -> None:
        self.hashes, self._sha256 = hashes, sha256
        # What is known of each: float32 [8, 8, 3], None where the cache has no picture; read once, when it is near.
        self._coarse: dict[int, Float32Array | None] = {}
        self._lock = threading.Lock()

    def nearly(self, hashes: tuple[int, int], look: Callable[[], Pixels]) -> int | None:
        """The number of a known picture that a new one, or its mirror image, is nearly; None where there is none.

        hashes: of the new picture and its mirror image; look: gives it at 64 x 64, uint8 [64, 64, 3].
        """
        bits = np.bitwise_count(self.hashes[:, np.newaxis] ^ np.array(hashes, np.uint64))  # [M, 2]
        numbers, mirrored = np.nonzero(bits <= WORTH_A_LOOK)
        if not len(numbers):
            return None
        coarse = [self._coarse_of(number) for number in numbers.tolist()]
        has_look = np.array([one is not None for one in coarse])
        once = look()
        new = np.stack([once, once[:, ::-1]])
        found = self._same(numbers[has_look], [one for one in coarse if one is not None], new[mirrored[has_look]])
        if found is not None:
            return found
        by_hash = numbers[~has_look & (bits[numbers, mirrored] <= NEAR)]
        return int(by_hash[0]) if len(by_hash) else None

    def _same(self, numbers: IntArray, coarse: list[Float32Array], new: Pixels) -> int | None:
        """The first of known pictures [K] that is the new one, uint8 [K, 64, 64, 3] as it is or mirrored."""
        if not len(numbers):
            return None
        known, wanted = np.stack(coarse), coarse_vectors(new)
        # Of what has no contrast nothing else is to be had.
        is_flat = ~(known.any((1, 2, 3)) & wanted.any((1, 2, 3)))
        alike = np.where(is_flat, 1, (known * wanted).sum((1, 2, 3)))
        likeliest = np.argsort(-alike, kind="stable")[: min(_LOOKS, int((alike >= LEAST_LIKENESS).sum()))]
        looks = {place: one for place in likeliest.tolist() if (one := self._look(int(numbers[place]))) is not None}
        if not looks:
            return None
        same = are_same(np.stack(list(looks.values())), new[list(looks)])
        return int(numbers[list(looks)[int(same.argmax())]]) if same.any() else None

    def _coarse_of(self, number: int) -> Float32Array | None:
        with self._lock:
            if number not in self._coarse:
                look = self._look(number)
                self._coarse[number] = None if look is None else coarse_vectors(look[np.newaxis])[0]
            return self._coarse[number]

    @functools.cached_property
    def _store(self) -> PixelStore:
        return PixelStore([LOOK_SIZE])

    def _look(self, number: int) -> Pixels | None:
        """A known picture at 64 x 64, where the cache has it."""
        sha256 = self._sha256[number]
        try:
            _, missing = self._store.find(bytes.fromhex(sha256))
            return None if missing else self._store.rows([sha256], LOOK_SIZE)[0]
        except (KeyError, OSError, RuntimeError, ValueError):
            # It is no sha256, there is no home folder, or somebody has found the cache damaged meanwhile.
            return None
