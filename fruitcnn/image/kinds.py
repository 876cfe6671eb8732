"""The kinds of pictures: how each is told by its name and its first bytes, and what decodes it."""

from pathlib import Path
from typing import NamedTuple

from fruitcnn.regular_files import open_regular


class Kind(NamedTuple):
    """A kind of picture file.

    decoder: Pillow's name for it, None where nothing here reads it. module: what has to be imported for that.
    bytes_per_pixel: what decoding takes at most, the decoder's own buffers and Pillow's picture together.
    """

    name: str
    extensions: tuple[str, ...]
    decoder: str | None = None
    module: str = ""
    bytes_per_pixel: int = 0


# The only decoders that are ever tried. Their bytes were measured as resident memory of pictures of 9 and 25
# megapixels with and without transparency, a channel of more than 8 bits added: AVIF took 9.4 and 11.9 bytes a pixel,
# JPEG 2000 19.4 and 24.5, HEIC 8.6 and 10.7, WebP 16.1.
JPEG = Kind("JPEG", (".jpg", ".jpeg", ".jpe"), "JPEG", "PIL.JpegImagePlugin", 4)
PNG = Kind("PNG", (".png",), "PNG", "PIL.PngImagePlugin", 4)
WEBP = Kind("WebP", (".webp",), "WEBP", "PIL.WebPImagePlugin", 17)
GIF = Kind("GIF", (".gif",), "GIF", "PIL.GifImagePlugin", 4)
TIFF = Kind("TIFF", (".tif", ".tiff"), "TIFF", "PIL.TiffImagePlugin", 8)
BMP = Kind("BMP", (".bmp",), "BMP", "PIL.BmpImagePlugin", 4)
AVIF = Kind("AVIF", (".avif",), "AVIF", "PIL.AvifImagePlugin", 16)
JPEG_2000 = Kind("JPEG 2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"), "JPEG2000", "PIL.Jpeg2KImagePlugin", 26)
HEIC = Kind("HEIC", (".heic", ".heif", ".hif"), "HEIF", "pillow_heif", 16)
JPEG_XL = Kind("JPEG XL", (".jxl",))
KINDS = (JPEG, PNG, WEBP, GIF, TIFF, BMP, AVIF, JPEG_2000, HEIC, JPEG_XL)
EXTENSIONS = frozenset(extension for kind in KINDS for extension in kind.extensions)

_SIGNATURES = {
    b"\xff\xd8\xff": JPEG,
    b"\x89PNG\r\n\x1a\n": PNG,
    b"GIF8": GIF,
    b"BM": BMP,
    # The last two are BigTIFF.
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TIFF),
    **dict.fromkeys((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), JPEG_2000),
    **dict.fromkeys((b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"), JPEG_XL),
}
# Brands of the ISO base media file format, which films share.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
# First bytes of a file that tell its kind.
_HEAD = 64


def kind_of(head: bytes) -> Kind | None:
    """What the first bytes of a file (64 are enough) say that it is; None for anything but a picture."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))}
        return AVIF if brands & _AVIF_BRANDS else HEIC if brands & _HEIC_BRANDS else None
    return next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)


def is_picture(path: Path) -> bool:
    """Whether a file is meant as a picture, readable here or not: its extension or its first bytes say so.

    Raises OSError where it has no such extension and can't be looked at.
    """
    if path.suffix.lower() in EXTENSIONS:
        return True
    with open_regular(path) as file:
        return kind_of(file.read(_HEAD)) is not None
