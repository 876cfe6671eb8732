"""The cache folder: what can be made again, in files of some kinds, up to a limit.

Whoever keeps something there asks here for its place and tells here of its use. What others put there is never counted,
read or removed.
"""

import contextlib
import dataclasses
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from fruitcnn.temporaries import remove_temporaries
from fruitcnn.wording import counted

# Bytes that the folder may hold; what was used longest ago goes first. A set larger than that is kept all the same.
LIMIT = 10 << 30


@dataclasses.dataclass(frozen=True)
class Kind:
    """What entries hold; names: those that this and earlier versions have given to their files."""

    name: str
    names: re.Pattern[str]


PIXELS = Kind("pixels", re.compile(r"\d+-\d+-[0-9a-f]{32}\.pixels|[0-9a-f]{64}\.npz"))
FEATURES = Kind("features", re.compile(r"[0-9a-f]{64}\.features\.npz"))
KINDS = (PIXELS, FEATURES)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of the cache: its size in bytes, and when it was used last."""

    kind: Kind
    path: Path
    size: int
    used: float


def cache_folder() -> Path:
    """Where the cache is: $FRUITCNN_CACHE, else fruitcnn in the user's cache folder."""
    own = os.environ.get("FRUITCNN_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fruitcnn"


def find_entries(folder: Path) -> list[Entry]:
    """What fruitcnn keeps in a cache folder, longest unused first; nothing where it can't be read."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        for file in files:
            kind = next((kind for kind in KINDS if kind.names.fullmatch(file.name)), None)
            # A link, a FIFO or a folder of such a name is not ours.
            if kind is not None and file.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    state = file.stat()
                    found.append(Entry(kind, Path(file.path), state.st_size, state.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def mark_used(path: Path) -> None:
    """An entry is young again."""
    with contextlib.suppress(OSError):
        os.utime(path, follow_symlinks=False)


def drop(path: Path) -> bool:
    """Remove an entry, for one that is damaged; whether it was there and could be removed."""
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
            return True
    except OSError:
        pass
    return False


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes had begun to write."""
    with contextlib.suppress(OSError):
        remove_temporaries(folder)


def shrink_cache(folder: Path, limit: int | None = None, *, keep: Iterable[Path | None] = ()) -> int:
    """Remove what was used longest ago until at most `limit` (LIMIT) bytes are left; returns how many bytes went.

    keep: files that stay. What another process reads just now it can read on; what one writes is left alone.
    """
    remove_abandoned(folder)
    entries = find_entries(folder)
    most, removed, kept = LIMIT if limit is None else limit, 0, set(keep)
    total = sum(entry.size for entry in entries)
    for entry in entries:
        if total - removed > most and entry.path not in kept and drop(entry.path):
            removed += entry.size
    return removed


def describe_cache(*, clear: bool = False) -> str:
    """The cache folder, its size and its limit, and a line a kind; `clear` empties it first and says by how much."""
    folder = cache_folder()
    if clear:
        return f"{folder}: removed {shrink_cache(folder, 0) / 1e6:,.1f} MB"
    entries = find_entries(folder)
    lines = [f"{folder}: {_count(entries)} (at most {LIMIT / 1e6:,.0f} MB are kept)"]
    for kind in KINDS:
        if of_kind := [entry for entry in entries if entry.kind is kind]:
            lines.append(f"  {kind.name}: {_count(of_kind)}")
    return "\n".join(lines)


def _count(entries: list[Entry]) -> str:
    return f"{sum(entry.size for entry in entries) / 1e6:,.1f} MB in {counted(len(entries), 'file', 'files')}"
