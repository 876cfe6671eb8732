"""Which files of a folder are pictures, in the order a person would put them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.image import is_picture
from fruitcnn.regular_files import NotAFileError

# What Windows, macOS, Linux, Python and network disks (Synology, QNAP) leave in folders of photographs.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"})
_SYSTEM_FOLDERS = frozenset(
    {
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),
        *("__macosx", "network trash folder", "temporary items", "lost+found", "__pycache__"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp"),
    }
)

_SYSTEM_NAMES = _SYSTEM_FILES | _SYSTEM_FOLDERS


def natural_key(path: str | Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts `grape_2` before `grape_10`, ignoring letter case.

    The exact text decides between what is equal then (`1` and `01`), so that the order is the same in every process.
    """
    text = str(path)
    return [_part_key(part) for part in re.split(r"(\d+)", text.casefold()) if part], text


def _part_key(part: str) -> tuple[int, int, str]:
    # Whole numbers sort before text; by their digits, because Python makes no number of thousands of them.
    if not part.isdecimal():
        return 1, 0, part
    digits = "".join(str(int(char)) for char in part).lstrip("0")
    return 0, len(digits), digits


def is_ignored(path: Path) -> bool:
    """Hidden files and folders, and those that systems leave behind."""
    return is_ignored_name(path.name)


def is_ignored_name(name: str) -> bool:
    """The same by the last part of a path."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def find_pictures(folder: Path) -> tuple[list[Path], list[Path]]:
    """All pictures below `folder` and all files that are none, each in natural order.

    Hidden folders and those of the system stay closed and are among the files that are no pictures.
    What can't be looked into, a locked folder for one, counts as a picture: reading it tells why. A linked folder is
    followed once, unless its files are reached without the link.
    """
    pictures: list[Path] = []
    others: list[Path] = []
    for path in sorted(_walk(folder), key=natural_key):
        (others if is_ignored(path) or not is_meant(path) else pictures).append(path)
    return pictures, others


def is_meant(path: Path) -> bool:
    """Whether a file is a picture, or can't be looked at: reading it tells why."""
    try:
        return is_picture(path)
    except (FileNotFoundError, NotAFileError):
        return False
    except OSError:
        return True


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one that can be followed."""
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads back to itself, or through a locked folder: reading it says so.
        return False


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, and the folders that can't or shan't be opened."""
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
            if is_ignored(path := Path(entry.path)) or not is_folder(entry):
                yield path
            else:
                (links if entry.is_symlink() else waiting).append(path)
