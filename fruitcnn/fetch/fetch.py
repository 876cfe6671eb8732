"""From the name of a data set to a folder of its photographs, and a list of them with their split.

Whatever is there at the end is whole and has its hash; what is missing is told, and the next call fetches that alone.
"""

import asyncio
import collections
import contextlib
import csv
import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx

from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.fetch.manifest import RemoteFile, blob_sha1, find_set, read_manifest
from fruitcnn.fetch.transfer import Pace, TransferError, new_client, transfer
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.locks import held_folder
from fruitcnn.outputs import made_folder, write_text, written_whole
from fruitcnn.progress import Progress, tracked
from fruitcnn.regular_files import NotAFileError, open_regular
from fruitcnn.temporaries import remove_temporaries
from fruitcnn.wording import counted

# The list that `train` and `evaluate` take.
LIST = "photos.csv"
# Transfers at a time; files that fail one after the other until the server is not asked any more.
AT_A_TIME, IN_A_ROW = 8, 24
_TAKEN = "something else has this name; move it away"


@dataclasses.dataclass(frozen=True)
class Fetched:
    """What came of it. there: files that were there before; fetched: those that came; missing: why, by path."""

    list: Path
    there: int
    fetched: int
    bytes: int
    missing: dict[str, str]

    def summary(self) -> str:
        """Lines for people."""
        came = f"{self.fetched:,} fetched ({self.bytes / 1e6:,.1f} MB)"
        pictures = counted(self.there + self.fetched, "picture", "pictures")
        lines = [f"{pictures}: {came}, {counted(self.there, 'was', 'were')} there; list: {self.list}"]
        alike: dict[str, list[str]] = collections.defaultdict(list)
        for path, problem in self.missing.items():
            alike[problem].append(path)
        for problem, paths in alike.items():
            first = f"{paths[0]}: {problem}"
            lines.append(f"missing {first}" if len(paths) == 1 else f"missing {len(paths):,}, {first} (the first)")
        return "\n".join(lines)


def fetch(name: str, folder: Path | None = None, *, address: str | None = None) -> Fetched:
    """Fetch what is missing of a data set into a folder (by default one of its name).

    address: of another place that has the files, below which the paths are the same. No file that is there already is
    replaced, and none is there that is not whole. Raises UsageError, and FruitcnnError where a file can't be written.
    """
    known = find_set(name)
    folder, files = Path(name) if folder is None else folder, read_manifest(known.manifest)
    base = _checked(address or known.address)
    if not folder.absolute().parent.is_dir():
        raise UsageError("no such folder", value=folder.parent, remedy="make it first")
    # A proxy that can't be used is told before a folder is made.
    asyncio.run(new_client(AT_A_TIME).aclose())
    with _told_by_name(folder), made_folder(folder), held_folder(folder):
        listing = _listing(files)
        _check_list(folder / LIST, listing)
        _make_class_folders(folder, files)
        state = {file.path: _state(folder, file) for file in tracked(files, "looking for pictures", total=len(files))}
        taken = {path: _TAKEN for path, found in state.items() if found is False}
        wanted = [file for file in files if state[file.path] is None]
        transfers = _Transfers(folder, base, done=len(files) - len(wanted), total=len(files))
        asyncio.run(transfers.run(wanted))
        write_text(folder / LIST, listing)
    there = sum(found is True for found in state.values())
    missing = {file.path: why for file in files if (why := {**taken, **transfers.failed}.get(file.path))}
    return Fetched(folder / LIST, there, transfers.fetched, transfers.bytes, missing)


class _Transfers:
    """All transfers into one folder, some at a time. failed: why, by path."""

    def __init__(self, folder: Path, base: str, *, done: int, total: int) -> None:
        self._folder, self._base, self._pace = folder, base, Pace()
        self._progress = Progress("fetching pictures", total, done=done)
        self._in_a_row = 0
        self.failed: dict[str, str] = {}
        self.fetched = self.bytes = 0

    async def run(self, wanted: list[RemoteFile]) -> None:
        """Fetch them. Raises OSError where one can't be written."""
        files = iter(wanted)
        async with new_client(AT_A_TIME) as client:
            with self._progress:
                workers = [asyncio.create_task(self._work(client, files)) for _ in range(AT_A_TIME)]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for worker in workers:
                        worker.cancel()

    async def _work(self, client: httpx.AsyncClient, files: Iterator[RemoteFile]) -> None:
        for file in files:
            if self._in_a_row >= IN_A_ROW:
                self.failed[file.path] = f"not asked for, after {IN_A_ROW} others in a row had failed"
                continue
            try:
                data = await transfer(client, f"{self._base}/{quote(file.path)}", file, self._pace)
                self._in_a_row = 0
                await asyncio.to_thread(_write, self._folder / file.path, data)
                self.fetched, self.bytes = self.fetched + 1, self.bytes + len(data)
            except TransferError as error:
                self.failed[file.path] = str(error)
                self._in_a_row += 1
            except FileExistsError:
                self.failed[file.path] = _TAKEN
            self._progress.advance()


def _checked(address: str) -> str:
    """An address of a folder, without the last slash. Raises UsageError."""
    try:
        url = httpx.URL(address)
        fits = is_address(address) and bool(url.host) and not (url.query or url.fragment)
    except httpx.InvalidURL:
        fits = False
    if not fits:
        remedy = "give the http(s) address of a folder (--from)"
        raise UsageError("is no address of a folder", value=shown_address(address), remedy=remedy)
    return address.rstrip("/")


def _listing(files: list[RemoteFile]) -> str:
    """The list that a training takes, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "label", "duplicate_group", "split"))
    writer.writerows((file.path, file.label, file.group, file.split) for file in files)
    return text.getvalue()


def _check_list(path: Path, listing: str) -> None:
    try:
        with open_regular(path) as file:
            if file.read(len(listing.encode()) + 1) == listing.encode():
                return
    except FileNotFoundError:
        return
    raise UsageError("is there already, and is another list", value=path, remedy="move it away, or name another folder")


def _make_class_folders(folder: Path, files: list[RemoteFile]) -> None:
    remove_temporaries(folder)
    for name in dict.fromkeys(Path(file.path).parent for file in files):
        inner = folder / name
        inner.mkdir(parents=True, exist_ok=True)
        if folder.resolve() not in inner.resolve().parents:
            raise UsageError("leads out of the folder", value=inner, remedy="move it away, or name another folder")
        remove_temporaries(inner)


def _state(folder: Path, file: RemoteFile) -> bool | None:
    """Whether what has the file's name is that file; None where nothing has it."""
    path = folder / file.path
    try:
        with open_regular(path) as there:
            size = os.fstat(there.fileno()).st_size
            return file.size in (None, size) and blob_sha1(there.read()) == file.blob
    except FileNotFoundError:
        return False if os.path.lexists(path) else None
    except (IsADirectoryError, NotAFileError):
        return False


def _write(path: Path, data: bytes) -> None:
    with written_whole(path, replace=False) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def _told_by_name(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise system_error(error, FruitcnnError, value=error.filename or folder) from error
