"""What is known of a picture from its header alone: its kind, what its colours mean, what its parts will take."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from fruitcnn.errors import ImageError
from fruitcnn.image import decode, opened, picture
from fruitcnn.image.budget import Budget
from fruitcnn.image.colour import colours_of
from fruitcnn.image.kinds import AVIF, HEIC, WEBP, kind_of


def head(*brands: bytes, length: int = 0) -> bytes:
    """The first box of a file with these brands, the first of them its main one."""
    rest = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I4s", length or 8 + len(rest), b"ftyp") + rest + b"avifavif"


def test_a_kind_is_told_by_any_of_its_brands_and_by_none_behind_them() -> None:
    assert kind_of(head(b"avif")) is AVIF and kind_of(head(b"heic", b"mif1")) is HEIC
    assert kind_of(head(b"xxxx", b"yyyy", b"zzzz", b"avif")) is AVIF
    assert kind_of(head(b"xxxx", b"yyyy", b"mif1")) is HEIC
    assert kind_of(head(b"isom", b"mp42")) is None, "what follows the box is another's"
    assert kind_of(head(b"isom", b"yavi", b"fyyy")) is None, "brands have four bytes each"


def test_a_webp_is_told_from_the_other_files_of_its_container() -> None:
    assert kind_of(b"RIFF\0\0\0\0WEBPVP8 ") is WEBP
    assert kind_of(b"RIFF\0\0\0\0WAVEfmt ") is None and kind_of(b"RIFX\0\0\0\0WEBPVP8 ") is None


def tiled(side: int, tile: int, bands: int) -> bytes:
    """A grey or RGB picture that is cut out of one tile, whose rows count from 0 to 255."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[256], tags[257], tags[258], tags[259] = side, side, (8,) * bands, 1
    tags[262], tags[277], tags[322], tags[323] = 2 if bands == 3 else 1, bands, tile, tile
    rows = np.arange(tile, dtype=np.uint8)[:, None, None] + np.zeros((tile, tile, bands), np.uint8)
    tags[324], tags[325] = 8, rows.nbytes
    file = io.BytesIO()
    file.write(struct.pack("<2sHI", b"II", 42, 8 + rows.nbytes) + rows.tobytes())
    tags.save(file)
    return file.getvalue()


@pytest.mark.parametrize("bands", [1, 3])
def test_a_tile_that_is_larger_than_its_picture_is_counted(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiled(16, 256, bands)
    assert np.asarray(decode(data))[:, 3, 0].tolist() == list(range(16))
    budget = Budget(2_000_000)
    monkeypatch.setattr(picture, "_budget", budget)
    with opened(data):
        tile = 2_000_000 - budget._left
    with opened(tiled(16, 16, bands)):
        assert tile == 2_000_000 - budget._left + (256 * 256 - 16 * 16) * bands
    monkeypatch.setattr(picture, "_budget", Budget(60_000 * bands))
    with pytest.raises(ImageError, match="more than the limit"):
        decode(data)


def with_profile(profile: bytes) -> Image.Image:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 30, 40)).save(file, "PNG", icc_profile=profile)
    return Image.open(io.BytesIO(file.getvalue()))


def test_a_profile_that_says_srgb_by_a_formula_costs_nothing() -> None:
    """Its curve is one of five numbers; one that is another, or of another kind, is converted."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    start = profile.index(b"para\0\0\0\0\0\3")
    numbers = struct.unpack_from(">5i", profile, start + 12)
    assert numbers[0] == round(2.4 * 65536)
    with with_profile(profile) as image:
        assert colours_of(image).to_srgb is None
    # The slope near black is not looked at: it is a tenth of a grey level.
    for place in (0, 1, 2, 4):
        changed = bytearray(profile)
        struct.pack_into(">i", changed, start + 12 + 4 * place, numbers[place] + 8000)
        with with_profile(bytes(changed)) as image:
            assert colours_of(image).to_srgb is not None, place


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["one scan", "progressive"])
def test_markers_that_are_filled_up_in_front_are_read(options: dict[str, bool], tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 256, (90, 120, 3), np.uint8))
    file = io.BytesIO()
    noise.save(file, "JPEG", **options)
    data = file.getvalue()
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xc2" if options else b"\xff\xc0"):
        filled = data.replace(marker, b"\xff\xff\xff" + marker, 1)
        assert decode(filled).tobytes() == decode(data).tobytes()
        for end, told in ((len(filled), ""), (len(filled) * 2 // 3, "its data end before its last pixel")):
            with opened(filled[:end] + b"\xff\xd9") as found:
                assert found.warning.startswith(told) and bool(found.warning) == bool(told)


def test_a_picture_that_has_to_be_turned_takes_twice_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, held = Budget(1_000_000), {}
    monkeypatch.setattr(picture, "_budget", budget)
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = io.BytesIO()
        Image.new("RGB", (40, 20)).save(file, "JPEG", exif=exif)
        with opened(file.getvalue()) as found:
            held[orientation] = 1_000_000 - budget._left
            assert found.size == ((40, 20) if orientation == 1 else (20, 40))
    assert held == {1: 4 * 40 * 20, 6: 8 * 40 * 20}
