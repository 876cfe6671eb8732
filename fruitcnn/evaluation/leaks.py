"""Whether a model has seen the pictures that it is judged on: its split.csv lists what it learned from."""

import collections
import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.duplicates import NEAR
from fruitcnn.dataset.hashes import HASHED_SIZE, perceptual_hashes
from fruitcnn.dataset.records import TRAIN
from fruitcnn.dataset.saved_split import NAMES
from fruitcnn.errors import DatasetError, ImageError
from fruitcnn.image import SCALED_MARGIN, opened
from fruitcnn.regular_files import open_regular


@dataclasses.dataclass(frozen=True)
class TrainingPictures:
    """The training split of a run: pictures of each label, the sha256 of their files, their perceptual hashes [M]."""

    counts: collections.Counter[str]
    sha256: frozenset[str]
    hashes: NDArray[np.uint64]


def training_pictures(split_csv: Path) -> TrainingPictures | None:
    """Read the split.csv of a run; None where there is none. Raises DatasetError for one that can't be read.

    An older one has no hashes.
    """
    try:
        with open_regular(split_csv) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", errors=NAMES, newline="")
            rows = [row for row in csv.DictReader(text, strict=True) if row["split"] == TRAIN]
            hashes = [int(row["hash"], 16) for row in rows if row.get("hash")]
            return TrainingPictures(
                collections.Counter(row["label"] for row in rows),
                frozenset(row["sha256"] for row in rows),
                np.array(hashes, np.uint64),
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"can't be read ({error})", value=split_csv, remedy="restore it, or remove it") from error


def leak_warnings(paths: Iterable[Path], training: TrainingPictures) -> tuple[str, ...]:
    """A warning where files are training pictures of the model, byte for byte, or near-duplicates of those."""
    with ThreadPoolExecutor() as pool:
        found = collections.Counter(pool.map(lambda path: _likeness(path, training), paths))
    kinds = [f"{found[kind]} are {kind}" for kind in (_SAME, _NEAR) if found[kind]]
    if not kinds:
        return ()
    return (f"of these pictures {' and '.join(kinds)}: on new ones expect less",)


_SAME, _NEAR = "training pictures of the model", "near-duplicates of its training pictures"


def _likeness(path: Path, training: TrainingPictures) -> str:
    try:
        with open_regular(path) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() in training.sha256:
            return _SAME
        if not len(training.hashes):
            return ""
        with opened(data, at_least=SCALED_MARGIN * HASHED_SIZE) as picture:
            hashes = perceptual_hashes(picture.rgb())
    except (OSError, ImageError):
        # What can't be read has its row already.
        return ""
    # A picture, or its mirror image.
    bits = np.bitwise_count(training.hashes[:, None] ^ np.array(hashes, np.uint64))
    return _NEAR if bits.min() <= NEAR else ""
