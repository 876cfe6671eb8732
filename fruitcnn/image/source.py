"""What a picture can be given as: opening it, and saying what is wrong with one that can't be read."""

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fruitcnn.errors import OUT_OF_MEMORY, ImageError, TransientError, system_error
from fruitcnn.image.budget import MEMORY_LIMIT
from fruitcnn.image.kinds import HEIC, KINDS, TIFF, Kind, kind_of
from fruitcnn.regular_files import NotAFileError, open_regular


class Readable(Protocol):
    """What a picture's bytes are read from, all at once: an open binary file, or whatever else reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


# A path, encoded bytes, an open binary file, a PIL image, or a uint8 array [H, W] or [H, W, 3].
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Image.Image | NDArray[Any]

# What says nothing about a picture, only about the moment.
_TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.EAGAIN})


def source_name(source: Source) -> str:
    """What results and errors call a source: its path, or its kind in angle brackets."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"


def read_bytes(path: Path) -> bytes:
    """A picture's file as it stands. Raises ImageError; also where it would not fit the memory."""
    with image_errors(path), open_regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        if length <= MEMORY_LIMIT:
            return file.read()
        problem = f"has {length / 1e6:,.0f} MB, more than the limit of {MEMORY_LIMIT / 1e6:,.0f} MB"
        raise ImageError(problem, remedy="save it smaller first")


@contextlib.contextmanager
def open_image(source: Source) -> Iterator[Image.Image]:
    """The picture as Pillow opens it: its header has been read, its pixels not yet. A PIL image is itself.

    Raises TypeError for what is no source, and anything at all for a picture that can't be opened: see `image_errors`.
    """
    if isinstance(source, Image.Image):
        yield source
    elif isinstance(source, np.ndarray):
        yield _image_of(source)
    else:
        with _file(source) as file:
            kind = _kind(file)
            _import_decoder(kind)
            with _open_tiff(file) if kind is TIFF else Image.open(file, formats=(str(kind.decoder),)) as image:
                yield image


def _open_tiff(file: BinaryIO) -> Image.Image:
    from fruitcnn.image.tiff import check_tiff, unknown_tiff

    check_tiff(file)
    try:
        return Image.open(file, formats=(str(TIFF.decoder),))
    except UnidentifiedImageError:
        raise unknown_tiff(file) from None


@contextlib.contextmanager
def image_errors(source: Source) -> Iterator[None]:
    """Every failure in the block becomes an ImageError that names the source; TypeErrors of `open_image` stay."""
    name = source_name(source)
    try:
        yield
    except ImageError as error:
        raise type(error)(error.problem, value=name, remedy=error.remedy) from None
    except Image.DecompressionBombError as error:
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0])
        problem = f"has {pixels / 1e6:,.0f} megapixels, more than the limit of 178 megapixels"
        raise ImageError(problem, value=name, remedy="scale it down first") from None
    except UnidentifiedImageError:
        raise ImageError(
            "broken picture (its header can't be read)", value=name, remedy="save or download it again"
        ) from None
    except _NoSourceError as error:
        raise TypeError(str(error)) from None
    except Exception as error:
        raise _unreadable(error, name) from error


class _NoSourceError(Exception):
    """What was given is of no type that a picture can come as."""


def _image_of(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or not array.size:
        got = f"{array.dtype} {list(array.shape)}"
        raise ImageError(f"an array must be uint8 [H, W] or [H, W, 3], not {got}", remedy="convert it to RGB uint8")
    return Image.fromarray(array)


@contextlib.contextmanager
def _file(source: Any) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        with open_regular(source) as file:
            yield file
    else:
        # What has been opened elsewhere stays open, and may be a stream that can't be rewound.
        data = source.read(MEMORY_LIMIT) if callable(getattr(source, "read", None)) else None
        if not isinstance(data, bytes):
            raise _NoSourceError(
                f"a picture is a path, bytes, an open binary file, a PIL image or an array, not {type(source).__name__}"
            )
        yield io.BytesIO(data)


def _kind(file: BinaryIO) -> Kind:
    head = file.read(64)
    if not head:
        raise ImageError("empty file", remedy=_give_another())
    kind = kind_of(head)
    if kind is None:
        raise ImageError("not a picture that can be read", remedy=_give_another())
    if kind.decoder is None:
        raise ImageError(f"is a {kind.name} picture, which is not read here", remedy="save it as JPEG or PNG")
    return kind


def _give_another() -> str:
    *names, last = (kind.name for kind in KINDS if kind.decoder)
    return f"give a {', '.join(names)} or {last}"


def _import_decoder(kind: Kind) -> None:
    """Import the one decoder that is needed: Pillow would import all that it has."""
    if kind.decoder in Image.OPEN:
        return
    try:
        module = import_module(kind.module)
    except ImportError:
        if kind is not HEIC:
            raise
        problem = f"is a {HEIC.name} picture, which needs pillow-heif"
        raise ImageError(problem, remedy="pip install 'fruitcnn[heif]', or save it as JPEG") from None
    if kind is HEIC:
        module.register_heif_opener()


def _unreadable(error: Exception, name: str) -> ImageError:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and "memory" in str(error)):
        return TransientError(OUT_OF_MEMORY[0], value=name, remedy=OUT_OF_MEMORY[1])
    if isinstance(error, IsADirectoryError):
        return _unreadable_folder(name)
    if isinstance(error, FileNotFoundError) and name.startswith(("http://", "https://")):
        return ImageError(
            "is an address, not a file", value=name, remedy="download it first, or name it to the command"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return system_error(error, TransientError if error.errno in _TRANSIENT else ImageError, value=name)
    if isinstance(error, NotAFileError):
        return ImageError(str(error), value=name, remedy="name a file")
    # Decoders fail on hostile bytes in every way there is (struct.error, IndexError, zlib.error, ...): whatever it
    # was, this picture is unreadable and the next one is not.
    return ImageError(f"broken picture ({error})", value=name, remedy="save or download it again")


def _unreadable_folder(name: str) -> ImageError:
    try:
        os.scandir(name).close()
    except OSError as error:
        return system_error(error, ImageError, value=name)
    return ImageError("is a folder, not a picture", value=name, remedy="name a file in it")
