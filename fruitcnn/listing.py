"""Which files of a folder are pictures, in the order a person would put them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.image import is_picture
from fruitcnn.regular_files import NotAFileError

# Files that systems leave in folders of photographs.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})


def natural_key(path: str | Path) -> list[tuple[int, int | str]]:
    """Sort key that puts `grape_2` before `grape_10`, ignoring letter case."""
    parts = re.split(r"(\d+)", str(path).casefold())
    # Whole numbers sort before text, and text never meets a number in a comparison.
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def is_ignored(path: Path) -> bool:
    """Hidden files and the files that systems leave behind."""
    return path.name.startswith(".") or path.name.casefold() in _SYSTEM_FILES


def find_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """All pictures below `folder` and all files that are none, each in natural order. Hidden folders stay closed.

    What can't be looked into, a locked folder for one, counts as a picture: reading it tells why. A linked folder is
    followed once, unless its files are reached without the link.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(_walk(folder), key=natural_key):
        (others if is_ignored(path) or not _is_meant(path) else pictures).append(path)
    return pictures, others


def _is_meant(path: Path) -> bool:
    try:
        return is_picture(path)
    except (FileNotFoundError, NotAFileError):
        return False
    except OSError:
        return True


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, and the folders that can't be opened."""
    waiting, links = [folder], list[Path]()
    seen = set()
    while waiting or links:
        # Links last: a folder that is reached both ways keeps the name that it has without the link.
        current = waiting.pop() if waiting else links.pop(0)
        try:
            there = current.stat()
            if (there.st_dev, there.st_ino) in seen:
                continue
            seen.add((there.st_dev, there.st_ino))
            with os.scandir(current) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            yield current
            continue
        for entry in entries:
            if not entry.is_dir():
                yield Path(entry.path)
            elif not entry.name.startswith("."):
                (links if entry.is_symlink() else waiting).append(Path(entry.path))
