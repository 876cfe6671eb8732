"""What a last layer has learned from, kept with its checkpoint: features, not pictures, so that it can be extended."""

import dataclasses
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fruitcnn import checkpoint
from fruitcnn.arrays import Float32Array, IntArray
from fruitcnn.dataset.records import SPLITS, Dataset, group_numbers
from fruitcnn.errors import ModelError, UsageError, system_error
from fruitcnn.npz import read_array
from fruitcnn.outputs import written_whole
from fruitcnn.regular_files import open_regular

_TRAIN_AGAIN = "restore it, or train again"


@dataclasses.dataclass(frozen=True)
class KeptFeatures:
    """The pictures of a run, without their pixels.

    path: of the file. network: sha256 of the graph that made the features, in hex; size: of its input. features:
    float32 [N, D]; files, labels, splits, sha256: text [N]; groups: int64 [N], equal for near-duplicates; hashes:
    perceptual hashes uint64 [N, 2].
    """

    path: Path
    network: str
    size: int
    features: Float32Array
    files: NDArray[np.str_]
    labels: NDArray[np.str_]
    splits: NDArray[np.str_]
    groups: IntArray
    sha256: NDArray[np.str_]
    hashes: NDArray[np.uint64]

    @classmethod
    def of(
        cls, folder: Path, network: str, size: int, dataset: Dataset, features: Mapping[str, Float32Array]
    ) -> "KeptFeatures":
        """Of a run, to be saved in its folder. features: [M, D] by split, in the order of the data set."""
        pictures = [record for split in dataset.splits for record in dataset.in_split(split)]
        rows = np.concatenate([features[split] for split in dataset.splits])
        return cls(
            folder / checkpoint.KEPT,
            network,
            size,
            rows,
            np.array([record.file for record in pictures]),
            np.array([record.label for record in pictures]),
            np.array([record.split for record in pictures]),
            group_numbers(pictures),
            np.array([record.sha256 for record in pictures]),
            np.array([record.hashes for record in pictures], np.uint64),
        )

    def save(self) -> None:
        """Write them whole, as an .npz that is not compressed: an array takes as many bytes as it does in the file."""
        with written_whole(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> "KeptFeatures":
        """Of a checkpoint directory. Raises UsageError where it has none, ModelError for what is no such file."""
        path = folder / checkpoint.KEPT
        try:
            with open_regular(path) as file, zipfile.ZipFile(file) as archive:
                size = os.fstat(file.fileno()).st_size
                arrays = {name: read_array(archive, name, size) for name in _ARRAYS}
        except FileNotFoundError:
            problem = f"has no {checkpoint.KEPT}"
            remedy = "train it with --set data.keep_features=true first, which needs its pictures once more"
            raise UsageError(problem, value=folder, remedy=remedy) from None
        except OSError as error:
            raise system_error(error, ModelError, value=path) from error
        except MemoryError:
            raise
        except Exception as error:
            # zipfile and numpy raise what their many fields make them raise.
            raise ModelError(f"can't be read ({error})", value=path, remedy=_TRAIN_AGAIN) from error
        problem = _problem(arrays)
        if problem:
            raise ModelError(problem, value=path, remedy=_TRAIN_AGAIN)
        return cls(path, str(arrays.pop("network")), int(arrays.pop("size")), **arrays)


_ARRAYS = tuple(field.name for field in dataclasses.fields(KeptFeatures) if field.name != "path")


def _problem(arrays: dict[str, NDArray[Any]]) -> str:
    """What is wrong with arrays that `save` has not written; "" where nothing is."""
    features, count = arrays["features"], len(np.atleast_1d(arrays["files"]))
    width = features.shape[1:]
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        **dict.fromkeys(("files", "labels", "splits", "sha256"), ("U", (count,))),
        **{"network": ("U", ()), "size": ("i", ()), "groups": ("i", (count,)), "hashes": ("u", (count, 2))},
        "features": ("f", (count, *width)),
    }
    for name, (kind, shape) in wanted.items():
        if (arrays[name].dtype.kind, arrays[name].shape) != (kind, shape):
            return f"holds {arrays[name].dtype} {list(arrays[name].shape)} as {name}"
    if len(width) != 1 or not count or not np.isfinite(features).all():
        return "holds no features"
    if not set(arrays["splits"].tolist()) <= set(SPLITS):
        return "names splits that there are not"
    return ""
