"""Reading pictures: every kind comes out upright, RGB and over white; everything else as a clear error."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitcnn.errors import ImageError
from fruitcnn.image import decode, is_picture, load_pixels

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 40, height: int = 20) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (width, height), WHITE)
    for colour, corner in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        image.paste(colour, (*corner, corner[0] + width // 2, corner[1] + height // 2))
    return image


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    right, bottom = image.width - 2, image.height - 2
    return [image.getpixel(at) for at in ((1, 1), (right, 1), (1, bottom), (right, bottom))]


def close(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], tolerance: int = 12) -> bool:
    return bool(np.abs(np.array(found, int) - np.array(wanted, int)).max() <= tolerance)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_every_format_under_a_lying_extension(format: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(quarters(), format))

    image = decode(path)

    assert image.mode == "RGB" and image.size == (40, 20)
    assert close(corners(image), [RED, GREEN, BLUE, WHITE])
    assert is_picture(path)


@pytest.mark.parametrize("format", ["PPM", "ICO", "PCX", "TGA", "PDF"])
def test_other_formats_are_not_even_tried(format: str) -> None:
    with pytest.raises(ImageError, match="not a picture that can be read"):
        decode(encoded(quarters(), format))


@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation(orientation: int, wanted: list[tuple[int, ...]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(quarters(), "PNG", exif=exif))

    assert image.size == ((40, 20) if orientation < 5 else (20, 40))
    assert corners(image) == wanted


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_is_no_reason_to_refuse() -> None:
    cut = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    # An orientation that is the text "up".
    text = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0up\0\0\0\0\0\0"
    for exif in (cut, text, b"Exif\0\0XX"):
        image = decode(encoded(quarters(), "JPEG", exif=exif))
        assert image.size == (40, 20) and close(corners(image), [RED, GREEN, BLUE, WHITE], tolerance=60), "as it lies"


def test_transparency_lies_over_white() -> None:
    rgba = quarters().convert("RGBA")
    rgba.putalpha(Image.new("L", rgba.size, 0))
    assert corners(decode(encoded(rgba, "PNG"))) == [WHITE] * 4

    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    assert close([decode(encoded(half, "PNG")).getpixel((1, 1))], [(255, 127, 127)], tolerance=1)

    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert decode(encoded(palette, "PNG", transparency=0)).getpixel((1, 1)) == WHITE
    assert decode(encoded(palette, "GIF", transparency=0)).getpixel((1, 1)) == WHITE

    keyed = Image.new("RGB", (8, 8), (1, 2, 3))
    assert decode(encoded(keyed, "PNG", transparency=(1, 2, 3))).getpixel((1, 1)) == WHITE

    grey_alpha = Image.new("LA", (8, 8), (0, 0))
    assert decode(encoded(grey_alpha, "PNG")).getpixel((1, 1)) == WHITE


def test_palettes_greyscale_bilevel_and_cmyk() -> None:
    palette = quarters().quantize(8)
    assert close(corners(decode(encoded(palette, "PNG"))), [RED, GREEN, BLUE, WHITE])
    assert decode(encoded(Image.new("L", (8, 8), 77), "PNG")).getpixel((1, 1)) == (77, 77, 77)
    assert decode(encoded(Image.new("1", (8, 8), 1), "PNG")).getpixel((1, 1)) == WHITE
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert close([decode(encoded(cmyk, "JPEG")).getpixel((4, 4))], [RED])
    assert close([decode(encoded(cmyk, "TIFF")).getpixel((4, 4))], [RED])


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(format: str) -> None:
    values = np.array([[0, 257 * 64 + 256], [257 * 128, 65535]], np.uint16).repeat(4, 0).repeat(4, 1)
    image = decode(encoded(Image.fromarray(values), format))
    assert [pixel[0] for pixel in (image.getpixel((x, y)) for y in (1, 6) for x in (1, 6))] == [0, 64, 128, 255]


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)]
    for format in ("GIF", "WEBP", "TIFF"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
        assert close([decode(data).getpixel((4, 4))], [RED]), format


def test_errors_name_the_file_the_reason_and_the_remedy(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), "JPEG")
    cases = {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"this is no picture", "not a picture"),
        "cut.jpg": (whole[: len(whole) // 3], "broken picture"),
        "cut.png": (encoded(Image.fromarray(noise), "PNG")[:5000], "broken picture"),
        "float.tif": (encoded(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
    }
    for name, (data, problem) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ImageError, match=problem) as caught:
            decode(path)
        assert str(path) in str(caught.value) and caught.value.remedy
        assert path.read_bytes() == data

    with pytest.raises(ImageError, match="no such file"):
        decode(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        decode(tmp_path)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    # The checksum of the header has to fit the forged size.
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    with pytest.raises(ImageError, match="178 megapixels"):
        decode(bytes(header))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("seed", range(8))
def test_no_damage_to_a_file_can_do_more_than_raise_an_image_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        data = bytearray(encoded(noise, format))
        for position in rng.integers(0, len(data), 12):
            data[position] = rng.integers(256)
        try:
            assert load_pixels(bytes(data), 16).shape == (16, 16, 3)
        except ImageError as error:
            assert error.remedy


def test_load_pixels_is_pillows_antialiased_squash() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8))
    expected = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
    for source in (image, np.asarray(image), encoded(image, "PNG")):
        assert np.array_equal(load_pixels(source, 32), expected)


def test_scaled_jpeg_decoding_changes_next_to_nothing() -> None:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8))
    data = encoded(small.resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=95)

    assert decode(data, at_least=75).size == (200, 150), "an eighth: twice 75"
    assert decode(data, at_least=76).size == (400, 300) and decode(data, at_least=500).size == (800, 600)
    for sides, found in (((1602, 1200), (801, 600)), ((1600, 1202), (800, 601)), ((1601, 1200), (1601, 1200))):
        odd = encoded(small.resize(sides, Image.Resampling.BICUBIC), "JPEG", quality=95)
        assert decode(odd, at_least=75).size == found, "whole pixels"
    full = np.asarray(decode(data).resize((32, 32), Image.Resampling.BILINEAR), int)
    assert np.abs(load_pixels(data, 32) - full).max() <= 3


def test_arrays_that_are_no_rgb_pictures_are_refused() -> None:
    for array in (
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4), np.uint8),
    ):
        with pytest.raises(ImageError, match="must be uint8"):
            decode(array)
    assert decode(np.full((4, 4), 9, np.uint8)).getpixel((0, 0)) == (9, 9, 9)
