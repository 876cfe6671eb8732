"""The one door to a .keras file: what it would take of the memory is known before anything is unpacked."""

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from fruitcnn.errors import ModelError, system_error
from fruitcnn.regular_files import open_regular

_CONFIGURATION, _WEIGHTS = "config.json", "model.weights.h5"
# The largest known configurations, of models with thousands of layers, take some megabytes.
_CONFIGURATION_LIMIT = 16 << 20
# Keras does not compress; weights that somebody else has compressed get smaller by a tenth, pruned ones by more.
_EXPANSION = 10


def load_keras(path: Path) -> keras.Model:
    """The model in a .keras file, not compiled.

    Raises ModelError for what is none, and for one that keeps weights in other files or would take much more memory
    than it is large: unpacked, in its weights, or in the network that its configuration describes.
    """
    _check_file(path)
    try:
        return keras.saving.load_model(path, compile=False)
    except MemoryError:
        raise
    except Exception as error:
        # Keras raises what its many readers raise.
        raise ModelError(f"can't be loaded ({error})", value=path, remedy="export it again, or train again") from error


def _check_file(path: Path) -> None:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            _check_sizes(archive, path.stat().st_size)
            held = _weights_held(archive.read(_WEIGHTS))
            wanted = _weights_wanted(archive.read(_CONFIGURATION))
    except _RefusedError as error:
        raise ModelError(str(error), value=path, remedy="use a file that Keras has written") from error
    except OSError as error:
        raise system_error(error, ModelError, value=path) from error
    except MemoryError:
        raise
    except Exception as error:
        # zipfile, h5py and Keras raise what their many fields make them raise.
        raise ModelError(f"not a usable .keras file ({error})", value=path, remedy="export it again") from error
    if wanted > held:
        problem = f"describes a network of {wanted:,} bytes of weights and holds {held:,}"
        raise ModelError(problem, value=path, remedy="use a file that Keras has written")


class _RefusedError(Exception):
    """What no file that Keras has written looks like."""


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """By the archive's directory, to which the reader keeps."""
    entries = archive.infolist()
    for entry in entries:
        if entry.filename.endswith(".json") and entry.file_size > _CONFIGURATION_LIMIT:
            raise _RefusedError(
                f"{entry.filename} in it takes {entry.file_size:,} bytes, more than {_CONFIGURATION_LIMIT:,}"
            )
    _check_expansion("unpacks to", sum(entry.file_size for entry in entries), size)


def _check_expansion(what: str, unpacked: int, size: int) -> None:
    if unpacked > _CONFIGURATION_LIMIT + _EXPANSION * size:
        raise _RefusedError(f"{what} {unpacked:,} bytes out of {size:,}")


def _weights_held(data: bytes) -> int:
    """The bytes of all weights, by the headers of the HDF5 file; each counts once, however often it is linked to."""
    with h5py.File(io.BytesIO(data), "r") as file:
        # What these functions return is what the visit ends with.
        elsewhere = file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else name)
        arrays: list[Any] = []
        file.visititems(lambda name, found: arrays.append(found) if isinstance(found, h5py.Dataset) else None)
        if elsewhere or any(array.external or array.is_virtual for array in arrays):
            raise _RefusedError("keeps weights in other files, or under other names")
        total: int = sum(array.nbytes for array in arrays)
    _check_expansion("its weights take", total, len(data))
    return total


def _weights_wanted(configuration: bytes) -> int:
    """The bytes of all weights of the network that a configuration describes, built where no memory is taken for them.

    The random numbers of the process go on as if nothing had been built.
    """
    fields = json.loads(configuration)
    fields["compile_config"] = None
    state = random.getstate()
    try:
        with keras.device("meta"):
            model = keras.saving.deserialize_keras_object(fields)
    finally:
        random.setstate(state)
    return sum(variable.value.nbytes for variable in model.weights)
