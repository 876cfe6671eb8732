"""A part of the answers: the rows of a range of names, in a file that appears whole."""

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from fruitcnn import __version__
from fruitcnn.cluster.manifest import MANIFEST, MODEL, Manifest, sha256_of
from fruitcnn.cluster.name_list import is_name_file
from fruitcnn.cluster.parquet_rows import ParquetRows, metadata_of
from fruitcnn.cluster.remote_files import RemotePicture, is_remote
from fruitcnn.errors import DatasetError, ModelError, UsageError, system_error
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.identify_paths import answered, named_sources
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.tally import kind_of_result
from fruitcnn.image import Source
from fruitcnn.locks import HeldError
from fruitcnn.outputs import written_whole

_PART = re.compile(r"part-(\d{12})-(\d{12})\.parquet")
# What is said of a picture whose reading ended every process that tried.
_FATAL = "broken picture (reading it ends the process); save or download it again"
# How many results there are of each kind.
Counts = dict[str, int]


class Job:
    """A folder of parts that is being filled, with its model loaded. Raises FruitcnnError where it is damaged."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.folder = folder
        self.manifest = Manifest.read(folder)
        begun = self.manifest.begun
        if begun.version != __version__:
            problem = f"was begun with fruitcnn {begun.version}, and here is {__version__}"
            raise UsageError(problem, value=folder, remedy="install that version here, or begin anew in another folder")
        if sha256_of(folder / MODEL) != begun.model["sha256"]:
            problem = "is not the model that the parts were begun with"
            raise ModelError(problem, value=folder / MODEL, remedy="begin anew in another folder")
        self._identifier = Identifier.load(folder / MODEL, many=True, threads=threads)
        if begun.settings["refuse_below"] is not None:
            self._identifier.refuse_below = begun.settings["refuse_below"]
        self.rows = ParquetRows.from_card(self._identifier.card, begun.settings["refuse_below"])

    def write_part(
        self,
        low: int,
        high: int,
        *,
        fatal: Collection[int] = (),
        insist: bool = False,
        watch: Callable[[Counts], None] = lambda counts: None,
    ) -> Counts | None:
        """Write a part unless it is there; how many rows of each kind it has. None where another process is at it.

        fatal: names that are not to be touched, their reading would end this process. insist: write it even if another
        is at it; the first that is there stays. watch: is told of each row, or of a part that is there; counts below
        nothing take back what was told. Raises OSError.
        """
        path = part_file(self.folder, low, high)
        if path.exists():
            there = part_counts(path, self.manifest)
            watch(there)
            return there
        counts: Counts = {}

        def counted() -> Iterator[Identification | Rejection]:
            for result in self.identify(low, high, fatal):
                kind = kind_of_result(result)
                counts[kind] = counts.get(kind, 0) + 1
                watch({kind: 1})
                yield result

        try:
            with written_whole(path, replace=False, alone=not insist) as temporary, temporary.open("wb") as sink:
                self.rows.write(counted(), sink, {"manifest": self.manifest.id, "counts": counts})
        except HeldError:
            return None
        except FileNotFoundError:
            # Where locks end at each machine, another's start takes what is being written for abandoned.
            if insist:
                raise
            # The rows come again.
            watch({kind: -count for kind, count in counts.items()})
            return self.write_part(low, high, fatal=fatal, insist=True, watch=watch)
        except FileExistsError:
            # Another was first; its rows are the same.
            return part_counts(path, self.manifest)
        return counts

    def identify(self, low: int, high: int, fatal: Collection[int] = ()) -> Iterator[Identification | Rejection]:
        """The results of a range of names, in order."""
        begun = self.manifest.begun
        names = [
            Rejection(shown_address(name), _FATAL) if index in fatal and isinstance(name, str) else name
            for index, name in enumerate(self.manifest.names.read(low, high), low)
        ]
        for result in answered(self._identifier, self._sources(names)):
            yield result if isinstance(result, Rejection) else result.top(begun.settings["top"])

    def _sources(self, names: list[str | Rejection]) -> Iterator[tuple[str, Source] | Rejection]:
        begun = self.manifest.begun
        for name in names:
            if isinstance(name, Rejection):
                yield name
            elif is_remote(name):
                yield shown_address(name), RemotePicture(name)
            elif is_address(name):
                yield from named_sources([name], begun.settings["every"])
            else:
                # A worker may stand in another folder than the command did; what is shown stays as it was named.
                there = os.path.join(begun.base, name)  # noqa: PTH118
                for item in named_sources([there], begun.settings["every"]):
                    if isinstance(item, Rejection):
                        yield Rejection(name + item.file.removeprefix(there), item.error)
                    else:
                        yield name + item[0].removeprefix(there), item[1]


def part_file(folder: Path, low: int, high: int) -> Path:
    """Where a part lies."""
    return folder / f"part-{low:012}-{high:012}.parquet"


def parts_there(folder: Path) -> dict[int, int]:
    """The parts of a folder: from which name to which. Raises OSError."""
    with os.scandir(folder) as entries:
        found = (_PART.fullmatch(entry.name) for entry in entries)
        return {int(match[1]): int(match[2]) for match in found if match}


def is_own(path: Path) -> bool:
    """Whether a file of a folder of parts is called like what a run reads there again."""
    return path.name in (MANIFEST, MODEL) or is_name_file(path) or _PART.fullmatch(path.name) is not None


@contextlib.contextmanager
def opened_part(path: Path, manifest: Manifest) -> Iterator[parquet.ParquetFile]:
    """A part as pyarrow reads it. Raises DatasetError for one that is damaged, or of another run."""
    try:
        with parquet.ParquetFile(path) as file:
            if metadata_of(file).get("manifest") != manifest.id:
                raise DatasetError("belongs to another run", value=path, remedy="move it away, and run again")
            yield file
    except pa.ArrowInvalid as error:
        problem = f"can't be read ({str(error).splitlines()[0]})"
        raise DatasetError(problem, value=path, remedy="remove it, and run again") from error
    except OSError as error:
        raise system_error(error, DatasetError, value=path) from error


def part_counts(path: Path, manifest: Manifest) -> Counts:
    """How many rows of each kind a part has. Raises DatasetError where it is none of this run."""
    with opened_part(path, manifest) as file:
        return Counts(metadata_of(file)["counts"])
