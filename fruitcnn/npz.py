"""Arrays of an .npz file, whose sizes are looked at before anything is unpacked: megabytes can unpack to gigabytes."""

import math
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_array(archive: zipfile.ZipFile, name: str, most: int) -> NDArray[Any]:
    """An array of an .npz that takes at most so many bytes. Raises ValueError for another, and what zipfile raises."""
    with archive.open(f"{name}.npy") as member:
        # What numpy.savez writes; the heads of other versions can be gigabytes long themselves.
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} has another format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or min(shape, default=0) < 0 or size > most:
            raise ValueError(f"{name}, {dtype} {shape}, would take {size:,} bytes, of at most {most:,}")
        # One byte more, which must not be there; and the checksum is looked at where the file ends.
        data = member.read(size + 1)
    if len(data) != size:
        raise ValueError(f"{name} has another size than its head says")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
