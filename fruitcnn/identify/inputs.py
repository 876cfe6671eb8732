"""What a user names on the command line, as sources for the Identifier."""

import glob
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fruitcnn.errors import ImageError
from fruitcnn.image import Source
from fruitcnn.listing import find_pictures, natural_key

STDIN = "-"


def expand(argument: str) -> list[str]:
    """The pictures meant by one argument: a file, a folder (recursive, natural order), a glob or `-`.

    A path that does not exist stays in the list: reading it says so. Raises ImageError where nothing is meant.
    """
    path = Path(argument)
    if argument == STDIN or path.is_file():
        return [argument]
    if path.is_dir():
        pictures, _ = find_pictures(path)
        if not pictures:
            raise ImageError("no pictures in this folder", value=argument, remedy="name a folder of photographs")
        return [str(picture) for picture in pictures]
    if glob.has_magic(argument):
        # Unlike Path.glob, this takes absolute patterns too, and leaves hidden files alone as a shell does.
        matches = sorted(glob.glob(argument, recursive=True), key=natural_key)  # noqa: PTH207
        files = [match for match in matches if Path(match).is_file()]
        if not files:
            raise ImageError("matches no file", value=argument, remedy="check the pattern")
        return files
    return [argument]


def read(names: Iterable[str]) -> Iterator[Source]:
    """Names to sources: `-` is the bytes of standard input, every other name a path."""
    return (sys.stdin.buffer.read() if name == STDIN else name for name in names)
