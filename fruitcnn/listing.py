"""Which files of a folder are pictures, in the order a person would put them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.image import is_picture

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
    """All pictures below `folder` and all files that are none, each in natural order. Hidden folders stay closed."""
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(_walk(folder), key=natural_key):
        (others if is_ignored(path) or not is_picture(path) else pictures).append(path)
    return pictures, others


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files)
