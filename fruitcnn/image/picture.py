"""A decoded picture, upright and in sRGB, whose memory is held in one budget for as long as it is used."""

import contextlib
from collections.abc import Iterator

from PIL import ExifTags, Image

from fruitcnn.errors import ImageError
from fruitcnn.image.budget import MEMORY_LIMIT, Budget
from fruitcnn.image.colour import STRIP, Colours, colours_of, darkness, is_deep, is_plain, rgb_strips
from fruitcnn.image.frames import ANIMATED, LARGEST, show_first
from fruitcnn.image.jpeg import JpegWatch
from fruitcnn.image.kinds import JPEG, KINDS, TIFF
from fruitcnn.image.resizing import Pixels, resize
from fruitcnn.image.source import Source, image_errors, open_image

# How many times the model's size a scaled JPEG keeps at least: see `opened`.
SCALED_MARGIN = 2.5
# Pixels up to which a picture that is not RGB gets an RGB copy of its own size.
_COPIED = 16_000_000
# Bytes per pixel while a strip of rows is turned into RGB.
_STRIP_BYTES = 16
# Pillow's names of JPEGs; the second holds several pictures, as those of phones and drones do.
_JPEGS = ("JPEG", "MPO")
_DECODER_BYTES = {kind.decoder: kind.bytes_per_pixel for kind in KINDS if kind.decoder}
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
_budget = Budget(MEMORY_LIMIT)


class Picture:
    """A picture while its memory is held; what its methods return may be kept for longer, but for `rgb`'s.

    warning: what is wrong with a picture that can be read all the same, in one line; empty where nothing is.
    """

    def __init__(self, image: Image.Image, source: Source, colours: Colours, warning: str = "") -> None:
        self.warning = warning
        self._image = image
        self._source = source
        self._colours = colours
        self._rgb: Image.Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it was decoded, upright."""
        return self._image.size

    def pixels(self, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
        """The picture at a model's size: uint8 RGB [size, size, 3], see `resize`.

        Of pictures beyond 16 megapixels that are not RGB, values may be off by 1: Pillow resizes columns first where
        that is quicker.
        """
        with image_errors(self._source):
            if self._image.width * self._image.height > _COPIED and not self._is_plain():
                return resize(self._narrow(size), size, rule=rule, filter=filter)
            return resize(self.rgb(), size, rule=rule, filter=filter)

    def rgb(self) -> Image.Image:
        """The picture as RGB, transparency over white; to be left as it is, and not used when the picture is closed.

        One beyond 16 megapixels that is not RGB is reduced by a whole number until it is not beyond.
        """
        with image_errors(self._source):
            if self._rgb is None:
                self._rgb = self._image if self._is_plain() else self._reduced()
            return self._rgb

    def thumbnail(self, side: int) -> Image.Image:
        """A picture to look at: RGB, in its own shape, no side longer than `side` pixels."""
        rgb = self.rgb()
        if max(rgb.size) <= side:
            return rgb.copy()
        width, height = (max(1, round(length * side / max(rgb.size))) for length in rgb.size)
        with image_errors(self._source):
            # The gap as in Pillow's own `thumbnail`, which would need a copy.
            return rgb.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)

    def take(self) -> Image.Image:
        """The same as `rgb`, for who keeps it and whatever memory it has: the picture forgets it."""
        rgb = self.rgb()
        if rgb is self._image:
            self._image = Image.new("RGB", (1, 1))
        self._rgb = None
        return rgb

    def close(self) -> None:
        """Free the memory."""
        self._image.close()
        if self._rgb is not None:
            self._rgb.close()

    def _is_plain(self) -> bool:
        return is_plain(self._image) and self._colours.to_srgb is None

    def _narrow(self, width: int) -> Image.Image:
        result = Image.new("RGB", (width, self._image.height))
        for top, strip in rgb_strips(self._image, STRIP, self._colours):
            result.paste(strip.resize((width, strip.height), Image.Resampling.BILINEAR), (0, top))
        return result

    def _reduced(self) -> Image.Image:
        width, height = self._image.size
        factor = 1
        while -(-width // factor) * -(-height // factor) > _COPIED:
            factor += 1
        result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
        for top, strip in rgb_strips(self._image, STRIP // factor * factor or factor, self._colours):
            result.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
        return result


@contextlib.contextmanager
def opened(source: Source, *, at_least: float = 0) -> Iterator[Picture]:
    """Decode a picture: upright, transparency over white, its memory held in the budget until the block ends.

    A thread may have one picture open at a time.

    `at_least` (pixels) lets a large JPEG be decoded at a half, a quarter or an eighth of its size, as long as both
    sides are whole multiples of that and stay at or above it (an eighth, which keeps only the mean of each block of
    8 x 8: at twice it).

    With `at_least` 2.5 times the model's size, as `load_pixels` has it, no probability moved by more than 0.004
    (checkpoints/fruits) and 0.007 (fruits-small) against a full decode, on 244 photographs enlarged to up to 6,500
    pixels and saved as JPEG (benchmarks/decode.py --pictures). Where the sides were no multiples, it was 0.026.

    Raises ImageError for anything that can't be read, TransientError where that is not the picture's fault, TypeError
    for what is no source.
    """
    with contextlib.ExitStack() as stack:
        with image_errors(source):
            image = stack.enter_context(open_image(source))
            whole = image.size
            if at_least:
                _scale(image, at_least)
            colours = colours_of(image)
            stack.enter_context(_budget.holding(_needed(image, whole, colours)))
            watch = _watched(image) if image is not source else None
            deep = is_deep(image)
            upright = _upright(image.copy() if image is source else image, colours)
            warning = watch.warning if watch else darkness(upright, colours.levels) if deep else ""
            picture = Picture(upright, source, colours, warning)
            # Its memory goes before its place in the budget does.
            stack.callback(picture.close)
        yield picture


def decode(source: Source, *, at_least: float = 0) -> Image.Image:
    """Read a picture as upright RGB, as `opened` does; what is returned is held in no budget."""
    with opened(source, at_least=at_least) as picture:
        return picture.take()


def load_pixels(source: Source, size: int, *, rule: str = "squash", filter: str = "bilinear") -> Pixels:
    """Decode and resize one picture: uint8 RGB [size, size, 3]. Raises what `opened` raises."""
    with opened(source, at_least=SCALED_MARGIN * size) as picture:
        return picture.pixels(size, rule=rule, filter=filter)


def decoded_size(source: Source, *, at_least: float) -> tuple[int, int]:
    """Width and height, before any turning, at which `opened` decodes a picture: equal ones mean equal pixels.

    Raises ImageError for a picture that can't be opened; others may still turn out to be unreadable.
    """
    with image_errors(source), open_image(source) as image:
        _scale(image, at_least)
        return image.size


def _upright(image: Image.Image, colours: Colours) -> Image.Image:
    try:
        image.load()
        if image.format in ANIMATED:
            show_first(image, colours)
        turn = _TURNS.get(_orientation(image))
        upright = image if turn is None else image.transpose(turn)
    except BaseException:
        # What was raised keeps the picture; its memory goes before its place in the budget does.
        image.close()
        raise
    if upright is not image:
        image.close()
    return upright


def _scale(image: Image.Image, at_least: float) -> None:
    side = min(image.size)
    factor = 8 if side >= 16 * at_least else 4 if side >= 4 * at_least else 2 if side >= 2 * at_least else 1
    # The decoder rounds the sides up, which would move the picture by a part of a pixel.
    while image.width % factor or image.height % factor:
        factor //= 2
    if factor > 1:
        # Without effect on anything but a JPEG.
        image.draft(None, (image.width // factor, image.height // factor))


def _watched(image: Image.Image) -> JpegWatch | None:
    if image.format not in _JPEGS:
        return None
    return JpegWatch(image)


def _needed(image: Image.Image, whole: tuple[int, int], colours: Colours) -> int:
    """Bytes that decoding takes at most, by what the header says; raises ImageError where they exceed the budget."""
    pixels = image.width * image.height
    # The others are MPO, which is JPEG, and what lies in memory already, and is copied.
    needed = pixels * _DECODER_BYTES.get(image.format or "", JPEG.bytes_per_pixel)
    if image.info.get("progressive"):
        # All coefficients of all colours, two bytes each, whatever size is asked for.
        needed += whole[0] * whole[1] * 6
    if image.format == TIFF.decoder:
        from fruitcnn.image.tiff import tile_bytes

        needed += tile_bytes(image)
    if not is_plain(image) or colours.to_srgb is not None:
        needed += 4 * min(pixels, _COPIED) + _STRIP_BYTES * image.width * min(STRIP, image.height)
    if _is_animated(image) and pixels <= LARGEST:
        # The frame before, and what it left.
        needed += 8 * pixels
    # A PNG's orientation may stand behind its pixels; asking for it would decode them.
    if (image.format != "PNG" or "exif" in image.info) and _orientation(image) in _TURNS:
        needed += 4 * pixels
    if needed > _budget.limit:
        problem = f"{whole[0]:,} x {whole[1]:,} pixels take {needed / 1e6:,.0f} MB to decode"
        raise ImageError(
            f"{problem}, more than the limit of {_budget.limit / 1e6:,.0f} MB", remedy="scale it down first"
        )
    return needed


def _is_animated(image: Image.Image) -> bool:
    """Whether a picture may be an animation; of a GIF that is not known before all of it has been looked at."""
    return image.format in ANIMATED and (image.format == "GIF" or bool(getattr(image, "is_animated", False)))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # A damaged EXIF block says nothing about the pixels: take them as they lie.
        return 1
