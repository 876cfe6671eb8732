"""Pictures of which only hashes are at hand: whether a new one is nearly one of them."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import BoolArray
from fruitcnn.dataset.duplicates import NEAR, WORTH_A_LOOK
from fruitcnn.dataset.second_look import LOOK_SIZE, are_same
from fruitcnn.dataset.store import PixelStore
from fruitcnn.image import Pixels

# So many of the nearest hashes are looked at: of a fixed camera all are near.
_LOOKS = 24


class KnownPictures:
    """Pictures that a run has used: perceptual hashes uint64 [M], and the sha256 of their files, in hex, [M].

    Where this machine's cache has a small picture of one, as after training here, a second look decides; of others the
    hash does. May be asked by several threads.
    """

    def __init__(self, hashes: NDArray[np.uint64], sha256: Sequence[str]) -> None:
        self.hashes, self._sha256 = hashes, sha256

    @functools.cached_property
    def _store(self) -> PixelStore:
        return PixelStore([LOOK_SIZE])

    def nearly(self, hashes: tuple[int, int], look: Callable[[], Pixels], among: BoolArray | None = None) -> int | None:
        """The number of a known picture that a new one, or its mirror image, is nearly; None where there is none.

        hashes: of the new picture and its mirror image; look: gives it at 64 x 64, uint8 [64, 64, 3]. among: bool [M],
        those to compare it with.
        """
        bits = np.bitwise_count(self.hashes[:, np.newaxis] ^ np.array(hashes, np.uint64))  # [M, 2]
        if among is not None:
            bits[~among] = 64
        numbers, mirrored = np.nonzero(bits <= WORTH_A_LOOK)
        order = np.argsort(bits[numbers, mirrored], kind="stable")[:_LOOKS]
        for number, side in zip(numbers[order].tolist(), mirrored[order].tolist(), strict=True):
            known = self._look(number)
            if known is None:
                is_same = bool(bits[number, side] <= NEAR)
            else:
                new = look()[:, ::-1] if side else look()
                is_same = bool(are_same(known[np.newaxis], new[np.newaxis])[0])
            if is_same:
                return int(number)
        return None

    def _look(self, number: int) -> Pixels | None:
        """A known picture at 64 x 64, where the cache has it."""
        sha256 = self._sha256[number]
        try:
            _, missing = self._store.find(bytes.fromhex(sha256))
            return None if missing else self._store.rows([sha256], LOOK_SIZE)[0]
        except (KeyError, OSError, ValueError):
            # It is no sha256, or another thread or process has found the cache damaged meanwhile.
            return None
