"""A data set: a list of records, a row of pixels for each, and what to tell people about it."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.store import PixelRows

# What is learned from; what temperature and familiarity are fitted on, where a recipe sets some aside for that; what
# chooses the epoch; what only measures.
TRAIN, CALIBRATION, VALIDATION, TEST = SPLITS = ("train", "calibration", "validation", "test")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One labelled picture.

    Attributes:
        file: Its name in the set.
        path: Where it lies.
        label: Its class.
        split: "train", "calibration", "validation" or "test". Empty where it has none (yet).
        group: A name that pictures share which must stay on one side of the split. None where it has no group.
        sha256: The SHA-256 of the file's bytes, in hex.
        hashes: The perceptual hashes of the picture and of its mirror image, 64 bits each.
        error: Why it is left out. Empty where it is not.
        warning: What is wrong with a picture that can be read all the same. Empty where nothing is.
    """

    file: str
    path: Path
    label: str
    split: str = ""
    group: str | None = None
    sha256: str = ""
    hashes: tuple[int, int] = (0, 0)
    error: str = ""
    warning: str = ""


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a folder or CSV names: the photographs, the class names (an empty class too), and what lies among them.

    hidden: the number of hidden and system files and folders; not_pictures: the other files that are no labelled
    pictures; remarks: lines for people; spellings: the class names as the folders have them, where those may differ.
    """

    records: list[Record]
    labels: list[str]
    hidden: int = 0
    not_pictures: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Records in the order of their file names, those that take no part among them; labels: the names of the classes.

    report: lines for people, on what was left out and why. rows: finds the pixels of records at a size. outside:
    records of pictures of no class, which have no label and no split. listed: all records as the set lists them, in its
    order, with the splits and groups that it gives. kept: features [D] of pictures whose files are not at hand, by the
    sha256 of those.
    """

    records: list[Record]
    labels: list[str]
    report: list[str]
    rows: Callable[[list[Record], int], PixelRows]
    outside: list[Record] = dataclasses.field(default_factory=list)
    listed: list[Record] = dataclasses.field(default_factory=list)
    kept: Mapping[str, Float32Array] = dataclasses.field(default_factory=dict)

    @property
    def pictures(self) -> list[Record]:
        """The records that take part."""
        return [record for record in self.records if not record.error]

    @property
    def splits(self) -> list[str]:
        """The splits that have pictures, in the order of SPLITS."""
        present = {record.split for record in self.pictures}
        return [split for split in SPLITS if split in present]

    def in_split(self, split: str) -> list[Record]:
        """The M pictures of a split, in the order of `targets` and `pixels`."""
        return [record for record in self.pictures if record.split == split]

    def counts(self, split: str) -> list[int]:
        """Pictures of each class [C] in one split."""
        counted = collections.Counter(record.label for record in self.in_split(split))
        return [counted[label] for label in self.labels]

    def targets(self, split: str) -> NDArray[np.int64]:
        """Class indices int64 [M] into `labels`."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[record.label] for record in self.in_split(split)], np.int64)

    def pixels(self, split: str, size: int) -> PixelRows:
        """Pixels uint8 [M, size, size, 3], on disk: a slice or index reads those rows, `np.asarray` all of them.

        size: one of those that the set was scanned for; KeyError for another. Those that are not at hand are left out.
        """
        return self.rows([record for record in self.in_split(split) if record.sha256 not in self.kept], size)

    def outside_pixels(self, size: int) -> PixelRows | None:
        """Pixels uint8 [O, size, size, 3] of the pictures of no class; None where there are none."""
        return self.rows(self.outside, size) if self.outside else None


def group_numbers(records: Sequence[Record]) -> IntArray:
    """A number for each record's group [N]; a record without a group is one of its own."""
    return np.unique([record.group or record.file for record in records], return_inverse=True)[1]
