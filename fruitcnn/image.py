"""From a file, bytes, a PIL image or an array to RGB pixels at the model's size: THE one preprocessing.

Training, evaluation and identification all come through `load_pixels`, so a model sees at work what it saw in training.
"""

import io
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fruitcnn.errors import ImageError

# What a picture can be given as: a path, encoded bytes, a PIL image, or a uint8 array [H, W] or [H, W, 3].
Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
Pixels: TypeAlias = NDArray[np.uint8]

FILTERS = {"bilinear": Image.Resampling.BILINEAR}
RESIZE_RULES = ("squash",)

# The only decoders that are ever tried, whatever a file calls itself.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")
EXTENSIONS = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})


def source_name(source: Source) -> str:
    """What results and errors call a source: its path, or its kind in angle brackets."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"<{type(source).__name__}>"


def is_picture(path: Path) -> bool:
    """Whether a file is meant as a picture: its first bytes or its extension say so."""
    if path.suffix.lower() in EXTENSIONS:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(SIGNATURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def decode(source: Source, *, at_least: int = 0) -> Image.Image:
    """Read a picture as upright RGB, transparency over white.

    `at_least` (pixels) lets a large JPEG be decoded at a half, a quarter or an eighth of its size, as long as both
    sides stay at or above it. Raises ImageError for anything that can't be read.
    """
    name = source_name(source)
    try:
        with _open(source) as image:
            if at_least:
                image.draft(None, (at_least, at_least))
            return _to_rgb(_upright(image))
    except ImageError as error:
        raise ImageError(error.problem, value=name, remedy=error.remedy) from None
    except Image.DecompressionBombError:
        raise ImageError("more than 178 megapixels", value=name, remedy="scale it down first") from None
    except FileNotFoundError:
        raise ImageError("no such file", value=name, remedy="check the path") from None
    except IsADirectoryError:
        raise ImageError("is a folder, not a picture", value=name, remedy="name a file in it") from None
    except PermissionError:
        raise ImageError("may not be read", value=name, remedy="check its permissions") from None
    except UnidentifiedImageError:
        raise ImageError(
            *_unidentified(source), value=name, remedy="give a JPEG, PNG, WebP, GIF, TIFF or BMP"
        ) from None
    except Exception as error:
        # Decoders fail on hostile bytes in every way there is (struct.error, IndexError, zlib.error, ...): whatever
        # it was, this picture is unreadable and the next one is not.
        raise ImageError(f"broken picture ({error})", value=name, remedy="save or download it again") from error


def resize(image: Image.Image, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Resize an RGB image to uint8 pixels [size, size, 3]. `squash` ignores the aspect ratio and loses no content."""
    if rule not in RESIZE_RULES:
        raise ValueError(f"unknown resize rule {rule!r}")
    return np.asarray(image.resize((size, size), FILTERS[filter]))


def load_pixels(source: Source, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Decode and resize one picture: uint8 RGB [size, size, 3]. Raises ImageError."""
    # Twice the target is where DCT-scaled decoding can no longer be told from a full decode after the resize.
    return resize(decode(source, at_least=2 * size), size, rule=rule, filter=filter)


def _open(source: Source) -> Image.Image:
    if isinstance(source, Image.Image):
        return source.copy()
    if isinstance(source, np.ndarray):
        if (
            source.dtype != np.uint8
            or source.ndim not in (2, 3)
            or source.shape[2:] not in ((), (3,))
            or not source.size
        ):
            got = f"{source.dtype} {list(source.shape)}"
            raise ImageError(f"an array must be uint8 [H, W] or [H, W, 3], not {got}", remedy="convert it to RGB uint8")
        return Image.fromarray(source)
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def _unidentified(source: Source) -> tuple[str]:
    empty = len(source) == 0 if isinstance(source, bytes) else Path(str(source)).stat().st_size == 0
    return ("empty file",) if empty else ("not a picture that can be read",)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        # A damaged EXIF block says nothing about the pixels, which have just been decoded: take them as they lie.
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ImageError("a floating-point picture has no agreed brightness", remedy="save it with 8 bits a channel")
    if image.mode.startswith("I"):
        # 16-bit greyscale: Pillow's own conversion clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
