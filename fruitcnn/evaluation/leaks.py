"""Whether a model has seen the pictures that it is judged on: its split.csv lists what it learned from."""

import collections
import csv
import dataclasses
import hashlib
import io
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.known import KnownPictures
from fruitcnn.dataset.records import TRAIN
from fruitcnn.dataset.saved_split import NAMES
from fruitcnn.dataset.second_look import LOOK_SIZE
from fruitcnn.errors import DatasetError
from fruitcnn.image import Picture
from fruitcnn.regular_files import open_regular

UNKNOWN_TRAINING = "no split.csv lies beside the model: whether it has learned from these pictures can't be told"
SAME, NEARLY = "training pictures of the model", "near-duplicates of its training pictures"


@dataclasses.dataclass(frozen=True)
class TrainingPictures:
    """Pictures that a run has used: how many of each label, the sha256 of their files, and those that have a hash."""

    counts: collections.Counter[str]
    sha256: frozenset[str]
    hashed: KnownPictures


def training_pictures(split_csv: Path, *, splits: Collection[str] = (TRAIN,)) -> TrainingPictures | None:
    """Read the split.csv of a run; None where there is none. Raises DatasetError for one that can't be read.

    An older one has no hashes. splits: the pictures of these.
    """
    try:
        with open_regular(split_csv) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", errors=NAMES, newline="")
            rows = [row for row in csv.DictReader(text, strict=True) if row["split"] in splits]
            hashed = [(_hash(row["hash"]), row["sha256"] or "") for row in rows if row.get("hash")]
            return TrainingPictures(
                collections.Counter(row["label"] for row in rows),
                frozenset(row["sha256"] for row in rows),
                KnownPictures(np.array([one for one, _ in hashed], np.uint64), [name for _, name in hashed]),
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"can't be read ({error})", value=split_csv, remedy="restore it, or remove it") from error


def _hash(text: str) -> int:
    # int() would take a sign, blanks, underscores and any length.
    if not re.fullmatch("[0-9a-fA-F]{1,16}", text):
        raise ValueError(f"{text[:40]!r} is no hash of 64 bits")
    return int(text, 16)


def likeness(data: bytes, picture: Picture, training: TrainingPictures) -> str:
    """What a picture is to the training pictures: one of them, byte for byte; a near-duplicate of one; "" for neither.

    data: the bytes of its file. picture: decoded, at whatever size it was answered at.
    """
    if hashlib.sha256(data).hexdigest() in training.sha256:
        return SAME
    if not len(training.hashed.hashes):
        return ""
    found = training.hashed.nearly(perceptual_hashes(picture.rgb()), lambda: picture.pixels(LOOK_SIZE))
    return "" if found is None else NEARLY


def leak_warnings(found: collections.Counter[str]) -> tuple[str, ...]:
    """A warning where pictures have a `likeness`. found: how many have which."""
    kinds = [f"{found[kind]:,} of the {kind}" for kind in (SAME, NEARLY) if found[kind]]
    if not kinds:
        return ()
    return (f"among these pictures are {' and '.join(kinds)}: on new ones expect less",)
