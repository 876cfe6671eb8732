"""Pictures of every kind: their right pixels, or the reason why not; damage that a decoder passes over is told."""

import csv
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from fruitcnn.errors import ImageError
from fruitcnn.image import decode, is_picture, load_pixels, opened, picture
from fruitcnn.image.budget import Budget
from tests.faults.conftest import SAMPLE, Command, Model
from tests.predictions import read_predictions


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photograph(width: int = 240, height: int = 160) -> Image.Image:
    with Image.open(SAMPLE / "grape" / "grape_000.jpg") as image:
        return image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)


def ramps() -> np.ndarray:
    """RGB [40, 64, 3] in which every channel differs."""
    y, x = np.mgrid[0:40, 0:64]
    return np.stack([x * 4, y * 6, (x + y) * 2], -1).astype(np.uint8)


def tiff(values: np.ndarray, photometric: int, *, order: str = "<", planes: bool = False, number: int = 1) -> bytes:
    """An uncompressed TIFF of values [H, W] or [H, W, bands] as they stand."""
    height, width = values.shape[:2]
    bands = values.reshape(height, width, -1)
    count, bits = bands.shape[2], 8 * values.dtype.itemsize
    data = (bands.transpose(2, 0, 1) if planes else bands).astype(values.dtype.newbyteorder(order)).tobytes()
    tags: list[tuple[int, int, tuple[int, ...]]] = [
        (256, 4, (width,)), (257, 4, (height,)), (258, 3, (bits,) * count), (259, 3, (1,)), (262, 3, (photometric,)),
        (273, 4, tuple(range(count if planes else 1))), (277, 3, (count,)), (278, 4, (height,)),
        (279, 4, (len(data) // count,) * count if planes else (len(data),)), (284, 3, (2 if planes else 1,)),
        (339, 3, (number,) * count),
    ]  # fmt: skip
    at = 8 + 2 + 12 * len(tags) + 4
    sizes = {3: "H", 4: "I"}
    longs = sum(
        struct.calcsize(sizes[kind]) * len(v) for _, kind, v in tags if struct.calcsize(sizes[kind]) * len(v) > 4
    )
    start = at + longs
    fields, beyond = b"", b""
    for tag, kind, content in tags:
        if tag == 273:
            content = tuple(start + len(data) // count * plane for plane in content)
        packed = struct.pack(f"{order}{len(content)}{sizes[kind]}", *content)
        if len(packed) > 4:
            fields += struct.pack(f"{order}HHII", tag, kind, len(content), at + len(beyond))
            beyond += packed
        else:
            fields += struct.pack(f"{order}HHI", tag, kind, len(content)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + fields + bytes(4) + beyond + data


def test_tiffs_have_their_right_pixels_whatever_zero_means_and_however_many_bits_there_are() -> None:
    rgb = ramps()
    grey = rgb[..., 0]
    deep = grey.astype(np.uint16) * 257
    for order in "<>":
        for values, photometric, wanted in (
            *((grey, 1, grey), (255 - grey, 0, grey), (deep, 1, grey), (rgb, 2, rgb)),
            (rgb.astype(np.uint16) * 257, 2, rgb),
        ):
            found = np.asarray(decode(tiff(values, photometric, order=order)), int)
            assert np.array_equal(found, wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2)), photometric
        assert np.array_equal(np.asarray(decode(tiff(rgb, 2, order=order, planes=True))), rgb)
    assert np.array_equal(np.asarray(decode(tiff(65535 - deep, 0)))[..., 0], grey)
    lab = Image.fromarray(rgb).convert("RGB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    red = ImageCms.applyTransform(Image.new("RGB", lab.size, (200, 40, 30)), to_lab)
    assert np.abs(np.array(decode(encoded(red, "TIFF")).getpixel((5, 5))) - (200, 40, 30)).max() <= 2


def test_tiffs_that_would_be_read_wrongly_are_refused_by_what_they_are() -> None:
    rgb = ramps()
    grey, deep = rgb[..., 0], rgb.astype(np.uint16) * 257
    for data, problem in (
        (tiff(deep, 2, planes=True), "16 bits in separate planes"),
        (tiff(grey.astype(np.uint32) << 24, 1), "32 bits a channel has no agreed brightness"),
        (tiff(deep[..., 0].astype(np.int16) // 2, 1, number=2), "signed-integer picture has no agreed brightness"),
        (tiff((grey // 2).astype(np.int8), 1, number=2), "signed-integer"),
        (tiff(grey.astype(np.float32), 1, number=3), "floating-point picture has no agreed brightness"),
        (tiff(np.dstack([rgb, grey, grey]), 2), "a TIFF with 5 bands of 8 bits \\(RGB\\) is not read here"),
        (tiff(65535 - deep[..., 0], 0, order=">"), "1 band of 16 bits \\(white-is-zero\\)"),
        (tiff(rgb, 6), "subsampled YCbCr"),
        (b"MM\0+" + bytes(60), "big-endian BigTIFF"),
    ):
        with pytest.raises(ImageError, match=problem) as caught:
            decode(data)
        assert "not a picture" not in str(caught.value) and caught.value.remedy


def test_twelve_bits_in_sixteen_are_told() -> None:
    grey = ramps()[..., 0].astype(np.uint16) * 257 >> 4
    for data in (tiff(grey, 1), encoded(Image.fromarray(grey), "PNG"), tiff(np.dstack([grey] * 3), 2)):
        with opened(data) as found:
            assert "may hold fewer bits than it says" in found.warning
    for data in (tiff(grey << 4, 1), encoded(Image.fromarray(ramps() // 16), "PNG"), tiff(grey * 0, 1)):
        with opened(data) as found:
            assert found.warning == "", "light enough, or dark with 8 bits, or black"


def test_what_phones_write_is_read_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = photograph()
    for format, extension in (("AVIF", "avif"), ("JPEG2000", "jp2"), ("MPO", "jpg")):
        path = tmp_path / f"phone.{extension}"
        path.write_bytes(encoded(image, format))
        assert is_picture(path) and is_picture(path.rename(tmp_path / "nameless"))
        assert np.abs(np.asarray(decode(tmp_path / "nameless"), int) - np.asarray(image)).mean() < 4, format
    pillow_heif = pytest.importorskip("pillow_heif")
    heic = io.BytesIO()
    pillow_heif.from_pillow(image).save(heic)
    assert np.abs(np.asarray(decode(heic.getvalue()), int) - np.asarray(image)).mean() < 4
    # As where the extra is not installed.
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF")
    with pytest.raises(ImageError, match=r"is a HEIC picture, which needs pillow-heif; pip install 'fruitcnn\[heif\]'"):
        decode(heic.getvalue())
    for jxl in (b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n"):
        (tmp_path / "nameless").write_bytes(jxl)
        assert is_picture(tmp_path / "nameless")
        with pytest.raises(ImageError, match="is a JPEG XL picture, which is not read here; save it as JPEG or PNG"):
            decode(jxl)
    assert not is_picture_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp42", tmp_path), "a film"


def is_picture_bytes(data: bytes, folder: Path) -> bool:
    (folder / "file").write_bytes(data)
    return is_picture(folder / "file")


def test_a_picture_of_several_is_counted_in_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_budget", Budget(100_000))
    image = photograph()
    for format in ("JPEG", "MPO", "AVIF", "JPEG2000", "WEBP", "PNG"):
        with pytest.raises(ImageError, match=r"240 x 160 pixels take .* to decode, more than the limit of 0 MB"):
            decode(encoded(image, format))
    with pytest.raises(ImageError, match="more than the limit"):
        decode(image)


def test_an_opened_picture_holds_its_memory_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1_000_000)
    monkeypatch.setattr(picture, "_budget", budget)
    data = encoded(photograph(), "PNG")
    with opened(data) as found:
        assert budget._left == 1_000_000 - 4 * 240 * 160
        small, pixels = found.thumbnail(60), found.pixels(16)
    assert budget._left == 1_000_000 and small.size == (60, 40) and np.array_equal(pixels, load_pixels(data, 16))
    with pytest.raises(ValueError, match="closed"):
        found.rgb().getpixel((0, 0))
    with pytest.raises(KeyError), opened(data):
        raise KeyError("of the block, not of the picture")
    assert budget._left == 1_000_000
    # Of an animation a frame is kept, and what it left, until the next one is there.
    for format in ("PNG", "WEBP"):
        file, frames = io.BytesIO(), [photograph(), photograph().rotate(180)]
        frames[0].save(file, format, save_all=True, append_images=frames[1:])
        with opened(file.getvalue()):
            held = 1_000_000 - budget._left
        with opened(encoded(photograph(), format)):
            assert held == 1_000_000 - budget._left + 8 * 240 * 160


def test_a_large_picture_that_is_not_rgb_is_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = photograph(241, 163).convert("RGBA")
    data = encoded(rgba, "PNG")
    monkeypatch.setattr(picture, "_COPIED", 3000)
    with opened(data) as found:
        rgb = found.rgb()
    assert rgb.size == (61, 41) and rgb.width * rgb.height <= 3000
    expected = rgba.convert("RGB").reduce(4)
    assert np.abs(np.asarray(decode(data), int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_that_shows_something(format: str) -> None:
    empty = Image.new("RGBA", (240, 160), (0, 0, 0, 0))
    white = Image.new("RGBA", (240, 160), "white")
    shown = photograph().convert("RGBA")
    for first in (empty, white):
        data = encoded(first, format, save_all=True, append_images=[shown, white], duration=100, disposal=2)
        with Image.open(io.BytesIO(data)) as image:
            if not getattr(image, "is_animated", False):
                continue
        assert np.abs(np.asarray(decode(data), int) - np.asarray(photograph())).mean() < 12
    alike = encoded(white, format, save_all=True, append_images=[Image.new("RGBA", (240, 160), "red")], duration=9)
    assert decode(alike).getpixel((3, 3)) == (255, 255, 255), "the first, where none shows anything"


def profile_of(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped(profile: bytes) -> bytes:
    """A profile whose green is red, whose blue is green, whose red is blue."""
    for old, new in ((b"rXYZ", b"1XYZ"), (b"gXYZ", b"2XYZ"), (b"bXYZ", b"3XYZ")):
        profile = profile.replace(old, new, 1)
    return profile.replace(b"1XYZ", b"gXYZ", 1).replace(b"2XYZ", b"bXYZ", 1).replace(b"3XYZ", b"rXYZ", 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_what_their_profile_says(mode: str) -> None:
    image = photograph().quantize(64).convert("RGB")
    r, g, b = image.split()
    # Each number means another colour: what is written as green is shown as red.
    other = Image.merge("RGB", (b, r, g))
    stored = other.convert(mode) if mode != "P" else other.quantize(64)
    data = encoded(stored, "PNG", icc_profile=swapped(profile_of("sRGB")))
    assert np.abs(np.asarray(decode(data), int) - np.asarray(image)).max() <= 2
    if mode == "RGBA":
        clear = stored.copy()
        clear.putalpha(0)
        found = decode(encoded(clear, "PNG", icc_profile=swapped(profile_of("sRGB"))))
        assert found.getpixel((3, 3)) == (255, 255, 255), "transparency stays"
    plain = encoded(stored, "PNG")
    for harmless in (profile_of("sRGB"), b"broken", b"", profile_of("sRGB")[:200], profile_of("LAB")):
        assert np.array_equal(
            np.asarray(decode(encoded(stored, "PNG", icc_profile=harmless))), np.asarray(decode(plain))
        )


def test_an_ordinary_picture_imports_no_colour_management() -> None:
    import subprocess

    data = encoded(photograph(), "JPEG", icc_profile=profile_of("sRGB"))
    program = """import sys; from fruitcnn.image import load_pixels; load_pixels(sys.stdin.buffer.read(), 96)
print(sorted({"PIL.ImageCms", "pillow_heif", "PIL.TiffImagePlugin", "PIL.PdfImagePlugin"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", program], input=data, stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b"[]"


def warning(data: bytes) -> str:
    with opened(data) as found:
        return found.warning


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"optimize": True}], ids=str)
def test_a_jpeg_whose_data_end_early_is_told_and_one_that_lacks_its_end_marker_is_whole(
    options: dict[str, object],
) -> None:
    for image in (photograph(), photograph().convert("L"), photograph().convert("CMYK"), Image.new("RGB", (90, 70))):
        data = encoded(image, "JPEG", **options)
        end = data.rindex(b"\xff\xd9")
        start = data.index(b"\xff\xda") + 20
        assert warning(data) == warning(data + b"trailer \xff\xd9") == ""
        assert warning(data[:end]) == "" and np.array_equal(np.asarray(decode(data[:end])), np.asarray(decode(data)))
        for place in np.linspace(start, end - 30, 12).astype(int):
            assert "part of it is missing" in warning(data[:place] + b"\xff\xd9"), place
            with pytest.raises(ImageError, match="broken picture"):
                decode(data[:place])


def test_a_progressive_jpeg_without_all_its_scans_is_told() -> None:
    data = encoded(photograph(), "JPEG", progressive=True)
    end = data.rindex(b"\xff\xd9")
    last = data.rindex(b"\xff\xda")
    assert warning(data) == "" and "its end is missing" in warning(data[:end])
    for place in np.linspace(data.index(b"\xff\xda") + 30, last - 60, 12).astype(int):
        try:
            assert "part of it is missing" in warning(data[:place] + b"\xff\xd9"), place
        except ImageError as error:
            # In the middle of a table.
            assert "broken picture" in error.problem


def test_a_jpeg_with_data_to_spare_or_without_a_restart_marker_is_told() -> None:
    data = encoded(photograph(), "JPEG", quality=95)
    end = data.rindex(b"\xff\xd9")
    assert "part of it may be wrong" in warning(data[:end] + bytes(40) + data[end:])
    marked = encoded(photograph(), "JPEG", restart_marker_rows=1)
    first = marked.index(b"\xff\xd0", marked.index(b"\xff\xda"))
    assert warning(marked) == ""
    assert "part of it" in warning(marked[:first] + marked[first + 2 :])


def test_a_jpeg_that_was_overwritten_with_one_value_is_told() -> None:
    """Wherever that is; and a flat picture, whose data repeat, is whole."""
    for options in ({}, {"subsampling": 0}, {"quality": 40}):
        for image in (photograph(), photograph().convert("L")):
            data = encoded(image, "JPEG", **options)
            start, end = data.index(b"\xff\xda") + 20, data.rindex(b"\xff\xd9")
            for place in np.linspace(start, end - 60, 5).astype(int):
                for value in (b"\x55", b"\x00", b"\xaa"):
                    # What lies on a stuffed byte before or after is a marker of its own.
                    assert warning(data[:place] + value * 40 + data[place + 40 :]), (options, place, value)
    for flat in (Image.new("RGB", (900, 700), (180, 20, 30)), Image.new("L", (900, 700), 90)):
        assert warning(encoded(flat, "JPEG")) == warning(encoded(flat, "JPEG", optimize=True)) == ""
        assert warning(encoded(flat, "JPEG", subsampling=0)) == ""


def test_damage_is_told_by_every_command_that_reads_pictures(
    command: Command, tiny_model: Model, tmp_path: Path
) -> None:
    from fruitcnn.dataset.scan import scan

    for number in range(12):
        folder = tmp_path / "set" / ("grape" if number % 2 else "pear")
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8))
        data = encoded(image.resize((240, 160), Image.Resampling.BICUBIC), "JPEG")
        whole = data[: data.rindex(b"\xff\xd9")]
        (folder / f"{number}.jpg").write_bytes(whole[: len(whole) // 2] + b"\xff\xd9" if number == 3 else whole)
    done = command("identify", "set", "--format", "json")
    rows = {Path(row["file"]).name: row.get("warning", "") for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0 and len(rows) == 12
    assert "part of it is missing" in rows.pop("3.jpg") and set(rows.values()) == {""}
    done = command("identify", "set/grape/3.jpg", "set/grape/5.jpg", "--format", "csv")
    damaged, whole_one = csv.DictReader(io.StringIO(done.stdout))
    assert "part of it is missing" in damaged["warning"] and whole_one["warning"] == "" == damaged["error"]
    assert "warning: its data end" in command("identify", "set/grape/3.jpg").stdout
    # Of what the cache keeps, too.
    for sizes in ([16], [16], [16, 24]):
        (line,) = (line for line in scan(tmp_path / "set", sizes=sizes).report if "damage" in line)
        assert line.startswith("warning: 1 picture was decoded with damage") and "3.jpg (its data end" in line
    done = command("evaluate", tiny_model([0.2, 0.8], labels=("grape", "pear")), "--data", "set", "--report", "report")
    assert done.returncode == 0, done.stderr
    assert "warning: 1 picture was decoded with damage, grape/3.jpg (its data end" in done.stdout
    rows = read_predictions(tmp_path / "report" / "predictions.csv").rows
    assert [row.file for row in rows if row.warning] == ["grape/3.jpg"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "grape/3.jpg: its data end before its last pixel: part of it is missing</li>" in page


def test_pictures_from_open_files_and_buffers_and_nothing_else(tmp_path: Path) -> None:
    data = encoded(photograph(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    expected = load_pixels(data, 32)
    with (tmp_path / "a.png").open("rb") as file:
        for source in (bytearray(data), memoryview(data), io.BytesIO(data), file, str(tmp_path / "a.png")):
            assert np.array_equal(load_pixels(source, 32), expected)
        assert not file.closed
    for no_source in (3, None, ["a.png"], io.StringIO("text"), object()):
        with pytest.raises(TypeError, match="a picture is a path, bytes, an open binary file, a PIL image or an array"):
            load_pixels(no_source, 32)  # type: ignore[arg-type]
