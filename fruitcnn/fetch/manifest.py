"""The data sets that can be fetched, and what is known of each of their files before it is there."""

import csv
import dataclasses
import functools
import hashlib
from pathlib import Path, PurePosixPath

from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.names import safe_name

_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteFile:
    """One photograph: its path below the address and below the folder, and what its bytes must be.

    blob: sha1 of the file as git counts it, in hex; size: bytes, None where nobody wrote them down.
    """

    path: str
    label: str
    blob: str
    size: int | None
    group: str
    split: str


@dataclasses.dataclass(frozen=True)
class RemoteSet:
    """A set of photographs on the web.

    manifest: names its files; address: of the folder that their paths start in; rights: a line for people.
    """

    manifest: Path
    address: str
    rights: str


_FRUITS = RemoteSet(
    _HERE / "fruits.csv",
    "https://raw.githubusercontent.com/wuqiwenpk/Keras_Cnn_image_classification_identification"
    "/850c99d1d89d598b1fe7d2b817d332492e6b21f9/dataset",
    "No licence is given for these photographs: they belong to their owners. Ask them before you publish one.",
)
SETS = {"fruits": _FRUITS}


def find_set(name: str) -> RemoteSet:
    """The data set of a name. Raises UsageError."""
    if name not in SETS:
        raise UsageError("no such data set", value=name, remedy=f"choose from: {', '.join(SETS)}")
    return SETS[name]


def read_manifest(path: Path) -> list[RemoteFile]:
    """The files that a manifest names. Raises DatasetError where one could come to lie outside of its folder."""
    with path.open(encoding="utf-8", newline="") as lines:
        files = [
            RemoteFile(
                row["path"],
                row["label"],
                row["git_blob_sha1"],
                int(row["bytes"]) if row["bytes"] else None,
                row["duplicate_group"],
                row["split"],
            )
            for row in csv.DictReader(lines)
        ]
    for file in files:
        if not _is_inside(file.path):
            raise DatasetError(f"names {file.path!r}, which is no place inside a folder", value=path, remedy="mend it")
    return files


def blob_sha1(data: bytes) -> str:
    """The name by which git knows the content of a file, in hex."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@functools.cache
def _is_inside(path: str) -> bool:
    """Whether it is a path downwards, of names that mean the same on every file system."""
    parts = path.split("/")
    return not PurePosixPath(path).is_absolute() and len(parts) > 1 and all(part == safe_name(part) for part in parts)
