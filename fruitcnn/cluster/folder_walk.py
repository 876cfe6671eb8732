"""The pictures below a folder as a stream: a folder of any size, in the memory of a small one."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.image.kinds import EXTENSIONS
from fruitcnn.listing import is_folder, is_ignored_name, is_meant, natural_key

# Entries of a folder that are put into order at a time.
_SORTED_TOGETHER = 100_000
_ENDINGS = tuple(EXTENSIONS)


def walked_pictures(folder: str) -> Iterator[str]:
    """The pictures that `find_pictures` finds, one after the other, in the natural order of each folder.

    Of a folder with more than a hundred thousand entries, as many are put into order at a time. Linked folders come
    last, once each, and not at all where their files are reached without the link.
    """
    walked: list[str] = []
    waiting = [folder]
    for root in waiting:
        real = os.path.realpath(root)
        if any(_is_reached(real, tree) for tree in walked):
            continue
        walked.append(real)
        yield from _tree(root, real, walked, waiting)


def _tree(root: str, real: str, walked: list[str], links: list[str]) -> Iterator[str]:
    """The pictures of one tree without the trees that were walked before; appends the linked folders to `links`.

    No recursion: a path holds more folders than Python allows calls.
    """
    before = set(walked[:-1])
    open_folders = [_ordered(root)]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
        elif isinstance(entry, str):
            # A folder that can't be looked into: reading it tells why.
            yield entry
        elif is_ignored_name(entry.name):
            continue
        elif not is_folder(entry):
            if entry.name.lower().endswith(_ENDINGS) or is_meant(Path(entry.path)):
                yield entry.path
        elif entry.is_symlink():
            links.append(entry.path)
        elif not before or real + entry.path.removeprefix(root) not in before:
            open_folders.append(_ordered(entry.path))


def _ordered(folder: str) -> Iterator[os.DirEntry[str] | str]:
    """The entries of a folder; its own path where it can't be read."""
    try:
        with os.scandir(folder) as entries:
            while chunk := list(itertools.islice(entries, _SORTED_TOGETHER)):
                chunk.sort(key=lambda entry: natural_key(entry.name))
                if len(chunk) < _SORTED_TOGETHER:
                    # Closed before the folders in it are opened.
                    entries.close()
                yield from chunk
                if len(chunk) < _SORTED_TOGETHER:
                    return
    except OSError:
        yield folder


def _is_reached(real: str, tree: str) -> bool:
    """Whether the walk of a tree went through a folder. Both are real paths."""
    with contextlib.suppress(ValueError):
        return not any(map(is_ignored_name, Path(real).relative_to(tree).parts))
    return False
