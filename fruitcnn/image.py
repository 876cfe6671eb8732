"""From a file, bytes, a PIL image or an array to RGB pixels at the model's size: THE one preprocessing.

Training, evaluation and identification all come through `load_pixels`, so a model sees at work what it saw in training.
"""

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from fruitcnn.errors import OUT_OF_MEMORY, ImageError, TransientError, system_error
from fruitcnn.memory import Budget
from fruitcnn.regular_files import NotAFileError, open_regular

# What a picture can be given as: a path, encoded bytes, a PIL image, or a uint8 array [H, W] or [H, W, 3].
Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
Pixels: TypeAlias = NDArray[np.uint8]

FILTERS = {"bilinear": Image.Resampling.BILINEAR}
RESIZE_RULES = ("squash",)

# The only decoders that are ever tried, whatever a file calls itself.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")
EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})

# How many times the model's size a scaled JPEG keeps at least: see `decode`.
SCALED_MARGIN = 2.5
# Bytes that pictures may take while they are being decoded, all threads together.
MEMORY_LIMIT = 1 << 30
# Bytes a pixel that a decoder holds at most, its own buffers and Pillow's picture together.
_DECODER_BYTES = {"PNG": 4, "BMP": 4, "GIF": 4, "JPEG": 4, "WEBP": 17, "TIFF": 8}
# What the EXIF orientations stand for, 1 being upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Numbers of TIFF tags.
_BITS, _SAMPLES, _TILE_WIDTH, _TILE_LENGTH = 258, 277, 322, 323
# Pixels up to which a picture gets an RGB copy of its own size.
_COPIED = 16_000_000
# Rows that are turned into RGB at once.
_STRIP = 256
# What says nothing about a picture, only about the moment.
_TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.EAGAIN})


_budget = Budget(MEMORY_LIMIT)


def source_name(source: Source) -> str:
    """What results and errors call a source: its path, or its kind in angle brackets."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"


def is_picture(path: Path) -> bool:
    """Whether a file is meant as a picture: its extension or its first bytes say so.

    Raises OSError where it has no such extension and can't be looked at.
    """
    if path.suffix.lower() in EXTENSIONS:
        return True
    with open_regular(path) as file:
        head = file.read(12)
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def decode(source: Source, *, at_least: float = 0) -> Image.Image:
    """Read a picture as upright RGB, transparency over white.

    `at_least` (pixels) lets a large JPEG be decoded at a half, a quarter or an eighth of its size, as long as both
    sides are whole multiples of that and stay at or above it (an eighth, which keeps only the mean of each block of
    8 x 8: at twice it).

    With `at_least` 2.5 times the model's size, as `load_pixels` has it, no probability moved by more than 0.004
    (checkpoints/fruits) and 0.007 (fruits-small) against a full decode, on 244 photographs enlarged to up to 6,500
    pixels and saved as JPEG (benchmarks/decode.py --pictures). Where the sides were no multiples, it was 0.026.

    Raises ImageError for anything that can't be read, TransientError where that is not the picture's fault.
    """
    with _decoded(source, at_least) as image:
        return _over_white(image)


def resize(image: Image.Image, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Resize an RGB image to uint8 pixels [size, size, 3]. `squash` ignores the aspect ratio and loses no content.

    Across first, then down, rounded to whole grey levels after each. Pillow 13 chooses the order by a picture's shape,
    older ones always go across first; two calls make one resize of both, which other programs can follow.
    """
    if rule not in RESIZE_RULES:
        raise ValueError(f"unknown resize rule {rule!r}")
    across = image.resize((size, image.height), FILTERS[filter])
    return np.asarray(across.resize((size, size), FILTERS[filter]))


def load_pixels(source: Source, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Decode and resize one picture: uint8 RGB [size, size, 3]. Raises ImageError, as `decode` does.

    The same as `resize(decode(source, at_least=SCALED_MARGIN * size), size)`, in less memory; of pictures beyond 16
    megapixels that are not RGB, values may be off by 1, because Pillow resizes columns first where that is quicker.
    """
    with _decoded(source, SCALED_MARGIN * size) as image:
        narrow = _over_white(image, width=size if image.width * image.height > _COPIED else None)
        pixels = resize(narrow, size, rule=rule, filter=filter)
        # Its memory goes before its place in the budget does.
        image.close()
        return pixels


def read_bytes(path: Path) -> bytes:
    """A picture's file as it stands. Raises ImageError, as `decode` does; also where it would not fit the memory."""
    try:
        with open_regular(path) as file:
            length = os.fstat(file.fileno()).st_size
            if length <= MEMORY_LIMIT:
                return file.read()
    except Exception as error:
        raise _unreadable(error, source_name(path), path) from error
    problem = f"has {length / 1e6:,.0f} MB, more than the limit of {MEMORY_LIMIT / 1e6:,.0f} MB"
    raise ImageError(problem, value=path, remedy="save it smaller first")


def decoded_size(source: Source, *, at_least: float) -> tuple[int, int]:
    """Width and height, before any turning, at which `decode` decodes a picture: equal ones mean equal pixels.

    For a picture that `decode` can read; what is raised for others is not said.
    """
    with _open(source) as image:
        _scale(image, at_least)
        return image.size


@contextlib.contextmanager
def _decoded(source: Source, at_least: float) -> Iterator[Image.Image]:
    """The upright picture in whatever mode it came, while its memory is held; every failure becomes an ImageError."""
    name = source_name(source)
    try:
        with _open(source) as image:
            whole = image.size
            if at_least:
                _scale(image, at_least)
            with _budget.holding(_needed(image, whole)):
                try:
                    image.load()
                    turn = _TURNS.get(_orientation(image))
                    yield image if turn is None else image.transpose(turn)
                except BaseException:
                    # What was raised keeps the picture; its memory goes before its place in the budget does.
                    image.close()
                    raise
    except ImageError as error:
        raise type(error)(error.problem, value=name, remedy=error.remedy) from None
    except Image.DecompressionBombError as error:
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0])
        problem = f"has {pixels / 1e6:,.0f} megapixels, more than the limit of 178 megapixels"
        raise ImageError(problem, value=name, remedy="scale it down first") from None
    except UnidentifiedImageError:
        raise ImageError(_unidentified(source), value=name, remedy="give a JPEG, PNG, WebP, GIF, TIFF or BMP") from None
    except Exception as error:
        raise _unreadable(error, name, source) from error


def _unreadable(error: Exception, name: str, source: Source) -> ImageError:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and "memory" in str(error)):
        return TransientError(OUT_OF_MEMORY[0], value=name, remedy=OUT_OF_MEMORY[1])
    if isinstance(error, IsADirectoryError):
        return _unreadable_folder(name)
    if isinstance(error, OSError) and error.errno is not None:
        return system_error(error, TransientError if error.errno in _TRANSIENT else ImageError, value=name)
    if isinstance(error, NotAFileError):
        return ImageError(str(error), value=name, remedy="name a file")
    # Decoders fail on hostile bytes in every way there is (struct.error, IndexError, zlib.error, ...): whatever it
    # was, this picture is unreadable and the next one is not.
    return ImageError(f"broken picture ({error})", value=name, remedy="save or download it again")


@contextlib.contextmanager
def _open(source: Source) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        yield source.copy()
    elif isinstance(source, np.ndarray):
        if (
            source.dtype != np.uint8
            or source.ndim not in (2, 3)
            or source.shape[2:] not in ((), (3,))
            or not source.size
        ):
            got = f"{source.dtype} {list(source.shape)}"
            raise ImageError(f"an array must be uint8 [H, W] or [H, W, 3], not {got}", remedy="convert it to RGB uint8")
        yield Image.fromarray(source)
    else:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else open_regular(source) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            yield image


def _unidentified(source: Source) -> str:
    empty = len(source) == 0 if isinstance(source, bytes) else Path(source_name(source)).stat().st_size == 0
    return "empty file" if empty else "not a picture that can be read"


def _unreadable_folder(name: str) -> ImageError:
    try:
        os.scandir(name).close()
    except OSError as error:
        return system_error(error, ImageError, value=name)
    return ImageError("is a folder, not a picture", value=name, remedy="name a file in it")


def _scale(image: Image.Image, at_least: float) -> None:
    side = min(image.size)
    factor = 8 if side >= 16 * at_least else 4 if side >= 4 * at_least else 2 if side >= 2 * at_least else 1
    # The decoder rounds the sides up, which would move the picture by a part of a pixel.
    while image.width % factor or image.height % factor:
        factor //= 2
    if factor > 1:
        # Without effect on anything but a JPEG.
        image.draft(None, (image.width // factor, image.height // factor))


def _needed(image: Image.Image, whole: tuple[int, int]) -> int:
    """Bytes that decoding takes at most, by what the header says; raises ImageError where they exceed the budget."""
    pixels = image.width * image.height
    needed = pixels * _DECODER_BYTES.get(image.format or "", 0)
    if image.info.get("progressive"):
        # All coefficients of all colours, two bytes each, whatever size is asked for.
        needed += whole[0] * whole[1] * 6
    if image.format == "TIFF":
        # A tile may be larger than the picture that is cut out of it.
        tags = image.tag_v2  # type: ignore[attr-defined]
        bits = max(tags.get(_BITS, (8,))) * tags.get(_SAMPLES, 1)
        needed += tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) * bits // 8
    if not _is_plain(image):
        needed += 4 * min(pixels, _COPIED)
    # A PNG's orientation may stand behind its pixels; asking for it would decode them.
    if (image.format != "PNG" or "exif" in image.info) and _orientation(image) in _TURNS:
        needed += 4 * pixels
    if needed > _budget.limit:
        problem = f"{whole[0]:,} x {whole[1]:,} pixels take {needed / 1e6:,.0f} MB to decode"
        raise ImageError(
            f"{problem}, more than the limit of {_budget.limit / 1e6:,.0f} MB", remedy="scale it down first"
        )
    return needed


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # A damaged EXIF block says nothing about the pixels: take them as they lie.
        return 1


def _is_plain(image: Image.Image) -> bool:
    return image.mode == "RGB" and not image.has_transparency_data


def _over_white(image: Image.Image, width: int | None = None) -> Image.Image:
    """The picture as RGB over white, a strip of rows at a time; with `width`, its rows resized to that."""
    if _is_plain(image):
        return image
    result = Image.new("RGB", (width or image.width, image.height))
    for top, strip in _rgb_strips(image):
        result.paste(strip.resize((width, strip.height), Image.Resampling.BILINEAR) if width else strip, (0, top))
    return result


def _rgb_strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture from top to bottom, some rows at a time, as (first row, RGB over white)."""
    if image.mode == "F":
        raise ImageError("a floating-point picture has no agreed brightness", remedy="save it with 8 bits a channel")
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        if strip.mode.startswith("I"):
            # 16-bit greyscale: Pillow's own conversion clips at 255 instead of scaling.
            strip = Image.fromarray((np.asarray(strip).clip(0, 65535) // 257).astype(np.uint8))
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        yield top, strip.convert("RGB")
