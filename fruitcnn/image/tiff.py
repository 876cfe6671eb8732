"""TIFF: what its tags say before anything is decoded."""

from typing import BinaryIO

from PIL import Image

_BITS, _SAMPLES, _TILE_WIDTH, _TILE_LENGTH = 258, 277, 322, 323


def check_tiff(file: BinaryIO) -> None:
    """Placeholder."""


def tile_bytes(image: Image.Image) -> int:
    """Bytes of one tile, which may be larger than the picture that is cut out of it; 0 for strips."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = max(tags.get(_BITS, (8,))) * tags.get(_SAMPLES, 1)
    return int(tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0) * bits // 8)
