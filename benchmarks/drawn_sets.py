"""Picture sets that nobody has to download: what scikit-learn and matplotlib carry, and what Pillow draws.

Each is a function from a random generator, pictures a class to learn from and pictures a class to judge on, to the two
lists of (picture, label). Bent on purpose: `letters` are hard, `scratches` differ in a few pixels, `burst` has a class
whose training pictures are nearly one picture, `rare` has a hundred of one class and four of the other to learn from.
"""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits, load_sample_images

Picture = tuple[Image.Image, str]
Pictures = list[Picture]
# Draws one picture of a class.
Draw = Callable[[np.random.Generator, str], Image.Image]

_FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"
_LETTER_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold",
    "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "cmr10", "cmss10", "cmtt10", "cmti10",
)  # fmt: skip
_FAMILIES = {
    "sans": ("DejaVuSans", "DejaVuSans-Bold"), "serif": ("DejaVuSerif", "STIXGeneral"), "roman": ("cmr10", "cmb10"),
    "mono": ("DejaVuSansMono", "cmtt10"), "slanted": ("STIXGeneralItalic", "cmti10"),
}  # fmt: skip
_FLAGS = {
    "France": ("v", "#0055a4 #ffffff #ef4135"), "Italy": ("v", "#009246 #ffffff #ce2b37"),
    "Ireland": ("v", "#169b62 #ffffff #ff883e"), "Belgium": ("v", "#000000 #fae042 #ed2939"),
    "Romania": ("v", "#002b7f #fcd116 #ce1126"), "Germany": ("h", "#000000 #dd0000 #ffce00"),
    "Netherlands": ("h", "#ae1c28 #ffffff #21468b"), "Hungary": ("h", "#cd2a3e #ffffff #436f4d"),
    "Bulgaria": ("h", "#ffffff #00966e #d62612"), "Austria": ("h", "#ed2939 #ffffff #ed2939"),
    "Estonia": ("h", "#0072ce #000000 #ffffff"), "Lithuania": ("h", "#fdb913 #006a44 #c1272d"),
}  # fmt: skip
_FACES = ("smile", "frown", "flat", "surprise", "wink", "laugh", "dead", "glasses")
_TEXTURES = ("stripes", "checks", "dots", "noise", "waves", "rings", "bricks", "blobs")
_PLOTS = ("bars", "line", "scatter", "pie", "steps", "area")


def digits(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
    """Handwriting of 8 x 8 grey pixels (scikit-learn's), enlarged to 28."""
    found = load_digits()
    pixels = np.uint8(255 - found.images * 255 / 16)
    sides: tuple[Pictures, Pictures] = ([], [])
    for label in range(10):
        chosen = rng.permutation(np.flatnonzero(found.target == label))[: train + test]
        pictures = [(Image.fromarray(pixels[index]).resize((28, 28)), str(label)) for index in chosen]
        sides[0].extend(pictures[:train])
        sides[1].extend(pictures[train:])
    return sides


def photographs(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
    """Squares of scikit-learn's two photographs, a temple and a flower, from other halves of them to judge on."""
    sides: tuple[Pictures, Pictures] = ([], [])
    for pixels, label in zip(load_sample_images().images, ("temple", "flower"), strict=True):
        half = pixels.shape[1] // 2
        for side, count, left in ((0, train, 0), (1, test, half)):
            for _ in range(count):
                edge = int(rng.integers(48, 128))
                x, y = left + rng.integers(half - edge), rng.integers(pixels.shape[0] - edge)
                sides[side].append((Image.fromarray(pixels[y : y + edge, x : x + edge]), label))
    return sides


def _drawn(draw: Draw, labels: tuple[str, ...]) -> Callable[..., tuple[Pictures, Pictures]]:
    def make(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
        first, second = (
            [(draw(rng, label), label) for label in labels for _ in range(count)] for count in (train, test)
        )
        return first, second

    return make


def _letter(rng: np.random.Generator, label: str, *, fonts: tuple[str, ...] = _LETTER_FONTS) -> Image.Image:
    image = Image.new("RGB", (64, 64), tuple(rng.integers(150, 256, 3).tolist()))
    font = ImageFont.truetype(_FONTS / f"{rng.choice(fonts)}.ttf", int(rng.integers(26, 46)))
    place = (32 + int(rng.integers(-6, 7)), 32 + int(rng.integers(-6, 7)))
    ImageDraw.Draw(image).text(place, label, tuple(rng.integers(0, 110, 3).tolist()), font, anchor="mm")
    turned = image.rotate(float(rng.uniform(-20, 20)), Image.Resampling.BILINEAR, fillcolor=image.getpixel((0, 0)))
    return _grained(rng, turned, 8)


def _family(rng: np.random.Generator, label: str) -> Image.Image:
    word = "".join(rng.choice(list("abdeghknopqrstuy"), 4))
    image = Image.new("RGB", (112, 64), "white")
    font = ImageFont.truetype(_FONTS / f"{rng.choice(_FAMILIES[label])}.ttf", int(rng.integers(20, 32)))
    ImageDraw.Draw(image).text((56, 32), word, "black", font, anchor="mm")
    return _grained(rng, image, 12)


def _flag(rng: np.random.Generator, label: str) -> Image.Image:
    direction, colours = _FLAGS[label]
    image = Image.new("RGB", (90, 60))
    for number, colour in enumerate(colours.split()):
        box = (30 * number, 0, 30 * number + 29, 59) if direction == "v" else (0, 20 * number, 89, 20 * number + 19)
        ImageDraw.Draw(image).rectangle(box, colour)
    sky = Image.new("RGB", (120, 90), tuple(rng.integers(90, 256, 3).tolist()))
    sky.paste(image, (15, 15))
    sky = sky.rotate(float(rng.uniform(-25, 25)), Image.Resampling.BILINEAR)
    faded = np.asarray(sky) * rng.uniform(0.45, 1.0) + rng.uniform(0, 60)
    return _grained(rng, Image.fromarray(np.uint8(faded.clip(0, 255))), 20)


def _face(rng: np.random.Generator, label: str) -> Image.Image:
    """A face on nothing at all (transparent), as emoji are."""
    image = Image.new("RGBA", (72, 72), (0, 0, 0, 0))
    draw, x, y = ImageDraw.Draw(image), 36 + int(rng.integers(-3, 4)), 36 + int(rng.integers(-3, 4))
    side, ink = int(rng.integers(20, 33)), (60, 40, 0, 255)
    shade = tuple(int(value) for value in (rng.integers(215, 256), rng.integers(160, 220), rng.integers(0, 90)))
    draw.ellipse((x - side, y - side, x + side, y + side), (*shade, 255))
    eye, mouth = side // 3, side // 2
    for sign in (-1, 1):
        box = (x + sign * eye - 3, y - eye - 3, x + sign * eye + 3, y - eye + 3)
        if label == "glasses":
            draw.rectangle((box[0] - 4, box[1], box[2] + 4, box[3]), ink)
        elif label == "dead" or (label == "wink" and sign > 0):
            draw.line(box, ink, 2)
        else:
            draw.ellipse(box, ink)
    box = (x - mouth, y, x + mouth, y + mouth)
    if label == "surprise":
        draw.ellipse((x - 5, y + 4, x + 5, y + mouth), ink)
    elif label == "laugh":
        draw.chord(box, 0, 180, ink)
    elif label in ("frown", "dead"):
        draw.arc(box, 180, 360, ink, 2)
    elif label == "flat":
        draw.line((box[0], y + eye, box[2], y + eye), ink, 2)
    else:
        draw.arc(box, 0, 180, ink, 2)
    return image


def _texture(rng: np.random.Generator, label: str) -> Image.Image:
    """Cloth, more or less: a pattern of some width, turned, in two colours."""
    across, down = np.meshgrid(np.arange(96), np.arange(96))
    angle, width = rng.uniform(0, math.pi), rng.uniform(5, 16)
    x = across * math.cos(angle) + down * math.sin(angle) + rng.uniform(0, 50)
    y = down * math.cos(angle) - across * math.sin(angle) + rng.uniform(0, 50)
    if label in ("noise", "blobs"):
        grain = Image.fromarray(np.uint8(rng.integers(0, 256, (96, 96))))
        level = np.asarray(grain.filter(ImageFilter.GaussianBlur(0.6 if label == "noise" else 4))) / 255.0
        level = (level - level.min()) / (np.ptp(level) or 1)
    else:
        patterns = {
            "stripes": lambda: (x // width) % 2,
            "checks": lambda: (x // width + y // width) % 2,
            "dots": lambda: (np.hypot(x % width - width / 2, y % width - width / 2) < width / 3) * 1.0,
            "waves": lambda: ((x + 4 * np.sin(y / 5)) // width) % 2,
            "rings": lambda: (np.hypot(across - 48, down - 48) // width) % 2,
            "bricks": lambda: ((y % width < 2) | ((x + (y // width) % 2 * width) % (2 * width) < 2)) * 1.0,
        }
        level = patterns[label]()
    colours = rng.integers(0, 256, (2, 3))
    mixed = colours[0] + (level[..., None] * 0.6) * (colours[1] - colours[0])
    return _grained(rng, Image.fromarray(np.uint8(mixed.clip(0, 255))), 14)


def _scratch(rng: np.random.Generator, label: str) -> Image.Image:
    """A fixed camera above brushed metal, with or without a scratch."""
    plate = np.random.default_rng(7).normal(150, 10, (1, 96)).repeat(96, 0)
    image = Image.fromarray(np.uint8(plate.clip(0, 255))).convert("RGB")
    if label == "scratched":
        x, y, turn = rng.uniform(20, 76), rng.uniform(20, 76), rng.uniform(0, math.pi)
        long = rng.uniform(8, 22)
        ends = (x, y, x + long * math.cos(turn), y + long * math.sin(turn))
        ImageDraw.Draw(image).line(ends, (225, 225, 225), 2)
    return _grained(rng, image, 6)


def _plot(rng: np.random.Generator, label: str) -> Image.Image:
    """What a plotting program draws of ten numbers."""
    image = Image.new("RGB", (96, 72), "white")
    draw, colour = ImageDraw.Draw(image), tuple(rng.integers(0, 190, 3).tolist())
    heights = (rng.uniform(8, 60, 10)).tolist()
    xs = [8 + 8.5 * number for number in range(10)]
    draw.line((6, 4, 6, 66, 92, 66), "black")
    if label == "bars":
        for x, height in zip(xs, heights, strict=True):
            draw.rectangle((x, 66 - height, x + 5, 66), colour)
    elif label == "scatter":
        for x, height in zip(rng.uniform(8, 90, 20).tolist(), rng.uniform(6, 62, 20).tolist(), strict=True):
            draw.ellipse((x - 2, height - 2, x + 2, height + 2), colour)
    elif label == "pie":
        draw.rectangle((0, 0, 96, 72), "white")
        cuts = [0, *sorted(rng.uniform(20, 340, 3).tolist()), 360]
        for start, end in itertools.pairwise(cuts):
            draw.pieslice((18, 6, 78, 66), start, end, tuple(rng.integers(40, 230, 3).tolist()))
    else:
        points = [(x, 66 - height) for x, height in zip(xs, heights, strict=True)]
        if label == "steps":
            points = [point for a, b in itertools.pairwise(points) for point in (a, (b[0], a[1]), b)]
        if label == "area":
            draw.polygon([(xs[0], 66), *points, (xs[-1], 66)], colour)
        else:
            draw.line(points, colour, 2)
    return _grained(rng, image, 6)


def _lamp(rng: np.random.Generator, label: str) -> Image.Image:
    """A traffic light: the classes differ in colour alone."""
    hue = {"red": (0.85, 0.2, 0.15), "amber": (0.9, 0.6, 0.1), "green": (0.15, 0.7, 0.3)}[label]
    image = Image.new("RGB", (64, 64), tuple(rng.integers(10, 70, 3).tolist()))
    lit = tuple(int(255 * part * rng.uniform(0.75, 1.1)) for part in hue)
    x, y, r = rng.integers(24, 40), rng.integers(24, 40), rng.integers(12, 20)
    ImageDraw.Draw(image).ellipse((int(x - r), int(y - r), int(x + r), int(y + r)), lit)
    return _grained(rng, image, 10)


def burst(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
    """Textures, of which one class has a burst to learn from: one picture again and again, a pixel apart."""
    learned, judged = SETS["textures"](rng, train, test)
    first = next(picture for picture, label in learned if label == "dots")
    for index, (_, label) in enumerate(learned):
        if label == "dots":
            moved = first.transform(first.size, Image.Transform.AFFINE, (1, 0, index % 2, 0, 1, index % 3 - 1))
            learned[index] = _grained(rng, moved, 3), label
    return learned, judged


def rare(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
    """Faces that smile or look surprised: a hundred of one and four of the other to learn from."""
    counts = {"frown": (100, test), "dead": (4, test)}
    first, second = (
        [(_face(rng, label), label) for label, both in counts.items() for _ in range(both[side])] for side in (0, 1)
    )
    return first, second


def tiny(rng: np.random.Generator, train: int, test: int) -> tuple[Pictures, Pictures]:
    """Two kinds of plots, four pictures of each to learn from."""
    return _drawn(_plot, ("bars", "steps"))(rng, 4, test)


def _grained(rng: np.random.Generator, image: Image.Image, strength: float) -> Image.Image:
    """With a camera's grain."""
    noise = rng.normal(0, strength, (*image.size[::-1], 1))
    return Image.fromarray(np.uint8((np.asarray(image.convert("RGB")) + noise).clip(0, 255)))


SETS: dict[str, Callable[..., tuple[Pictures, Pictures]]] = {
    "digits": digits,
    "letters": _drawn(_letter, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ&?@%")),
    "fonts": _drawn(_family, tuple(_FAMILIES)),
    "flags": _drawn(_flag, tuple(_FLAGS)),
    "faces": _drawn(_face, _FACES),
    "textures": _drawn(_texture, _TEXTURES),
    "scratches": _drawn(_scratch, ("sound", "scratched")),
    "plots": _drawn(_plot, _PLOTS),
    "lamps": _drawn(_lamp, ("red", "amber", "green")),
    "photographs": photographs,
    "burst": burst,
    "rare": rare,
    "tiny": tiny,
}
# How many pictures a class there are to learn from; the others have `PER_CLASS`.
FEWER = {"letters": 6, "flags": 10, "tiny": 4}
PER_CLASS = 16


def make(name: str, *, seed: int, test: int, train: int | None = None) -> tuple[Pictures, Pictures]:
    """The pictures of a set to learn from, and those to judge on, `test` of each class."""
    rng = np.random.default_rng([seed, *name.encode()])
    return SETS[name](rng, train or FEWER.get(name, PER_CLASS), test)
