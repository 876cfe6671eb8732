"""The list of names of a large run: written once, a range of it read at a time."""

import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from fruitcnn.errors import DatasetError, system_error
from fruitcnn.identify.results import Rejection
from fruitcnn.outputs import written_whole

# A name is bytes, as file systems have it; where it means no picture, it comes with what is wrong.
_SCHEMA = pa.schema([("file", pa.binary()), ("error", pa.string())])
# Names of a file of the list: its footer, which is read for each part, stays small at any number of them.
_FILE_NAMES = 1 << 20
_FILE = re.compile(r"names-\d{12}\.parquet")


@dataclasses.dataclass(frozen=True)
class NameList:
    """A list in a folder: so many names, in parts of so many, with the sha256 of all."""

    folder: Path
    count: int
    per_part: int
    sha256: str

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The parts, as from which name to which (not included)."""
        return ((low, min(low + self.per_part, self.count)) for low in range(0, self.count, self.per_part))

    def read(self, low: int, high: int) -> list[str | Rejection]:
        """The names of a part, or of a piece of one. Raises DatasetError where the list is no more what it was."""
        per_file = _names_per_file(self.per_part)
        start = low // per_file * per_file
        path = _file_at(self.folder, start)
        try:
            with parquet.ParquetFile(path) as file:
                group = (low - start) // self.per_part
                table = file.read_row_group(group)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno:
                raise system_error(error, DatasetError, value=path) from error
            raise DatasetError(f"can't be read ({error})", value=path, remedy="begin anew in another folder") from error
        first = start + group * self.per_part
        rows = table.slice(low - first, high - low).to_pydict()
        names = [os.fsdecode(name) for name in rows["file"]]
        return [
            name if error is None else Rejection(name, error) for name, error in zip(names, rows["error"], strict=True)
        ]


def write_names(
    folder: Path, names: Iterable[str | Rejection], per_part: int, *, watch: Callable[[int], None] = lambda count: None
) -> NameList:
    """Write the list into a folder that exists, as it streams by. watch: is told how many there are. Raises OSError."""
    digest, count = hashlib.sha256(), 0
    items = iter(names)
    while first := list(itertools.islice(items, per_part)):
        with (
            written_whole(_file_at(folder, count)) as temporary,
            temporary.open("wb") as sink,
            parquet.ParquetWriter(sink, _SCHEMA, compression="zstd") as writer,
        ):
            end = count + _names_per_file(per_part)
            for chunk in itertools.chain([first], _chunks(items, per_part)):
                _write_chunk(writer, chunk, digest.update)
                count += len(chunk)
                watch(count)
                if count == end:
                    break
    return NameList(folder, count, per_part, digest.hexdigest())


def is_name_file(path: Path) -> bool:
    """Whether a file is called like one of a list."""
    return _FILE.fullmatch(path.name) is not None


def _write_chunk(writer: parquet.ParquetWriter, chunk: list[str | Rejection], hashed: Callable[[bytes], None]) -> None:
    files = [os.fsencode(item.file if isinstance(item, Rejection) else item) for item in chunk]
    errors = [item.error if isinstance(item, Rejection) else None for item in chunk]
    hashed(b"".join(file + b"\0" for file in files))
    writer.write_table(pa.table([files, errors], schema=_SCHEMA), row_group_size=len(chunk))


def _chunks(items: Iterator[str | Rejection], size: int) -> Iterator[list[str | Rejection]]:
    while chunk := list(itertools.islice(items, size)):
        yield chunk


def _names_per_file(per_part: int) -> int:
    return max(1, _FILE_NAMES // per_part) * per_part


def _file_at(folder: Path, start: int) -> Path:
    return folder / f"names-{start:012}.parquet"
