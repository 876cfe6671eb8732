"""What a user names on the command line, as sources for the Identifier."""

import glob
import io
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fruitcnn.errors import ImageError, system_error
from fruitcnn.identify.addresses import is_address
from fruitcnn.identify.results import Rejection
from fruitcnn.identify.video import frame_count, is_video
from fruitcnn.image import Source
from fruitcnn.listing import find_pictures, natural_key

STDIN = "-"
# Standard input may never end; no photograph comes near this many bytes.
STDIN_LIMIT = 256 << 20
_CHUNK = 1 << 20


def expanded(arguments: Iterable[str]) -> list[str | Rejection]:
    """The pictures meant by all arguments, in their order; an argument that means none is a Rejection."""
    names: list[str | Rejection] = []
    for argument in arguments:
        try:
            names += expand(argument)
        except ImageError as error:
            names.append(Rejection.of(argument, error))
    return names


def expand(argument: str) -> list[str]:
    """The pictures meant by one argument: a file, a folder (recursive, natural order), a glob, an address or `-`.

    A path that does not exist or may not be looked at stays in the list: reading it says so. Raises ImageError where
    nothing is meant.
    """
    if not argument:
        raise ImageError("an empty name", value=argument, remedy="name a picture, a folder or -")
    if is_address(argument):
        return [argument]
    if os.path.isdir(argument):  # noqa: PTH112 (pathlib raises where a folder above is locked)
        pictures = find_pictures(Path(argument))[0]
        if not pictures:
            raise ImageError("no pictures in this folder", value=argument, remedy="name a folder of photographs")
        return [str(picture) for picture in pictures]
    if argument != STDIN and not os.path.lexists(argument) and glob.has_magic(argument):
        # Unlike Path.glob, this takes absolute patterns too, and leaves hidden files alone as a shell does.
        matches = sorted(glob.glob(glob_pattern(argument), recursive=True), key=natural_key)  # noqa: PTH207
        files = [match for match in matches if not os.path.isdir(match)]  # noqa: PTH112
        if not files:
            raise ImageError("matches no file", value=argument, remedy="check the pattern")
        return files
    return [argument]


def is_one(arguments: list[str]) -> bool:
    """Whether these arguments mean one picture at most."""
    if len(arguments) != 1:
        return False
    (argument,) = arguments
    if argument == STDIN or is_address(argument):
        return True
    return os.path.isfile(argument) and not is_video(argument)  # noqa: PTH113 (as above)


def expected_rows(names: Iterable[str | Rejection], every: float) -> int:
    """How many rows these names mean: one each, and of a video about one in `every` seconds."""
    return sum(frame_count(name, every) if isinstance(name, str) and is_video(name) else 1 for name in names)


def read(name: str) -> Source:
    """The source behind a name: `-` is the bytes of standard input, an address is fetched when its turn comes.

    Every other name is a path. Raises ImageError.
    """
    if is_address(name):
        # The web's client is for whoever asks for it.
        from fruitcnn.identify.download import Download

        return Download(name)
    if name != STDIN:
        return name
    data = bytearray()
    try:
        while len(data) <= STDIN_LIMIT and (chunk := sys.stdin.buffer.read(_CHUNK)):
            data += chunk
    except OSError as error:
        raise system_error(error, ImageError, value=name) from error
    if len(data) > STDIN_LIMIT:
        raise ImageError(f"more than {STDIN_LIMIT:,} bytes", value=name, remedy="send one picture")
    return bytes(data)


def fetched(source: Source) -> Source:
    """The bytes behind an address, or a video's frame as those of a picture, now; every other source as it is.

    Raises ImageError.
    """
    from fruitcnn.identify.download import Download

    if isinstance(source, Image.Image):
        png = io.BytesIO()
        source.save(png, "PNG", compress_level=1)
        return png.getvalue()
    return source.read() if isinstance(source, Download) else source


def glob_pattern(argument: str) -> str:
    """The argument with the folders that exist under just this name taken literally, whatever characters it has."""
    root = next((parent for parent in Path(argument).parents if parent.is_dir()), Path())
    if not glob.has_magic(str(root)):
        return argument
    return str(Path(glob.escape(str(root)), Path(argument).relative_to(root)))
