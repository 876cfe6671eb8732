"""Unlabelled pictures, each read and answered once: how sure the model is of it, and what it is like."""

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.image import Picture
from fruitcnn.progress import tracked

# Numbers that are kept of a picture's features: distances are right to a tenth, and a million pictures fit the memory.
_KEPT = 128


@dataclasses.dataclass(frozen=True)
class Pool:
    """N pictures that could be read.

    answers: without their evidence and features. vectors: unit vectors [N, K], alike for pictures that are. hashes:
    perceptual hashes uint64 [N, 2]. unreadable: the others, with what is wrong with them; labelled: how many were left
    out because they have a label already.
    """

    answers: list[Identification]
    vectors: Float32Array
    hashes: NDArray[np.uint64]
    unreadable: list[Rejection]
    labelled: int


def read_pool(identifier: Identifier, files: list[Path], *, labelled: Collection[str]) -> Pool:
    """Answer the pictures. labelled: the sha256 of files that have a label already.

    identifier: with `features`, so that pictures are compared by what the network makes of them; where the graph does
    not show it, by the answers. A file that can't be read stops nothing.
    """
    answers, vectors, hashes, unreadable, known = [], [], [], [], 0
    squeeze = _Squeeze()
    shown = tracked(files, "reading pictures", total=len(files))

    def observe(data: bytes, picture: Picture) -> tuple[str, tuple[int, int]]:
        return hashlib.sha256(data).hexdigest(), perceptual_hashes(picture.rgb())

    for result, observed in identifier.observe_many(shown, observe):
        if isinstance(result, Rejection) or observed is None:
            unreadable += [result] if isinstance(result, Rejection) else []
        elif observed[0] in labelled:
            known += 1
        else:
            vectors.append(squeeze(result))
            hashes.append(observed[1])
            answers.append(dataclasses.replace(result, features=None))
    return Pool(
        answers,
        np.array(vectors, np.float32),
        np.array(hashes, np.uint64).reshape(-1, 2),
        unreadable,
        known,
    )


class _Squeeze:
    """From an answer to a short unit vector: its features by a random projection (Johnson and Lindenstrauss 1984)."""

    def __init__(self) -> None:
        self._projection: Float32Array | None = None

    def __call__(self, answer: Identification) -> Float32Array:
        if answer.features is None:
            # Their length is 1, and their product the likeness of two distributions (Bhattacharyya 1943).
            return np.sqrt(np.array(answer.probabilities, np.float32))
        if self._projection is None:
            size = (len(answer.features), min(_KEPT, len(answer.features)))
            self._projection = np.random.default_rng(0).standard_normal(size).astype(np.float32)
        vector = answer.features @ self._projection
        return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-6))
