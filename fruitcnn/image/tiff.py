"""TIFF: what its tags say before anything is decoded; what Pillow would decode wrongly is refused by name."""

from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from fruitcnn.errors import ImageError
from fruitcnn.image.colour import Levels

# Numbers of tags.
_WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT, _SUBSAMPLING = 322, 323, 339, 530
_UNCOMPRESSED, _SEPARATE_PLANES = 1, 2
_WHITE_IS_ZERO, _YCBCR = 0, 6
_NUMBERS = {2: "signed-integer", 3: "floating-point", 5: "complex", 6: "complex"}
_MEANINGS = {0: "white-is-zero", 1: "greyscale", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab"}
_REMEDY = "save it with 8 bits a channel, as RGB or greyscale"


def check_tiff(file: BinaryIO) -> None:
    """Raise ImageError for a TIFF whose pixels Pillow would take for others, or whose brightness nobody agrees on."""
    tags = _tags(file)
    bits = max(tags.get(_BITS, (1,)))
    numbers = max(tags.get(_SAMPLE_FORMAT, (1,)))
    if numbers in _NUMBERS:
        raise ImageError(f"a {_NUMBERS[numbers]} picture has no agreed brightness", remedy=_REMEDY)
    if bits > 16:
        raise ImageError(f"a picture with {bits} bits a channel has no agreed brightness", remedy=_REMEDY)
    if tags.get(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
        return
    if bits > 8 and tags.get(_SAMPLES, 1) > 1 and tags.get(_PLANAR) == _SEPARATE_PLANES:
        raise ImageError(f"a TIFF with {bits} bits in separate planes is not read here", remedy=_REMEDY)
    if tags.get(_PHOTOMETRIC) == _YCBCR and tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1):
        raise ImageError("a TIFF with uncompressed, subsampled YCbCr is not read here", remedy=_REMEDY)


def unknown_tiff(file: BinaryIO) -> ImageError:
    """What to say of a TIFF that Pillow does not open."""
    tags = _tags(file)
    file.seek(0)
    if file.read(4) == b"MM\0+":
        return ImageError("a big-endian BigTIFF is not read here", remedy=_REMEDY)
    if _WIDTH not in tags:
        return ImageError("broken picture (its TIFF header can't be read)", remedy="save or download it again")
    bands, bits = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,)))
    photometric = tags.get(_PHOTOMETRIC)
    meaning = _MEANINGS.get(photometric, f"photometric interpretation {photometric}")
    noun = "band" if bands == 1 else "bands"
    return ImageError(f"a TIFF with {bands} {noun} of {bits} bits ({meaning}) is not read here", remedy=_REMEDY)


def tiff_levels(image: Image.Image) -> Levels:
    """Which values of a greyscale TIFF with more than 8 bits are white and black."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    white = (1 << max(tags.get(_BITS, (16,)))) - 1
    return Levels(white, inverted=tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def tile_bytes(image: Image.Image) -> int:
    """Bytes of one tile, which may be larger than the picture that is cut out of it; 0 for strips."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = max(tags.get(_BITS, (8,))) * tags.get(_SAMPLES, 1)
    return int(tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) * bits // 8)


def _tags(file: BinaryIO) -> Any:
    """The tags of the first picture by number; none where they can't be read."""
    file.seek(0)
    header = file.read(8)
    if b"+" in header[2:4]:  # BigTIFF
        header += file.read(8)
    try:
        tags = ImageFileDirectory_v2(header)
        file.seek(tags.next)
        tags.load(file)
        # Values are read when they are asked for; one that can't be read is as good as none.
        return {number: tags[number] for number in list(tags) if number in _LOOKED_AT}
    except Exception:
        return {}


_LOOKED_AT = {
    *(_WIDTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_LENGTH),
    *(_SAMPLE_FORMAT, _SUBSAMPLING),
}
