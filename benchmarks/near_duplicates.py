"""Which near-duplicates are found, and which pictures are taken for some? And how does the search grow?

`python benchmarks/near_duplicates.py` draws pictures of many kinds that look alike and are different, plants changed
copies of some, and prints how many of either count as near-duplicates, by the hash alone and after the second look.
`--photos photos.csv` adds the pairs that a list's column duplicate_group names. `--growth 200000` measures the search
among so many pictures of random hashes, a tenth of which have a copy.
"""

import argparse
import csv
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from fruitcnn.dataset.duplicates import duplicate_groups
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.second_look import LOOK_SIZE

SAMPLE = Path(__file__).parents[1] / "dataset" / "sample"
TEXT = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore"
WORDS = TEXT.split(" ")
COLOURS = [(220, 40, 30), (60, 160, 40), (230, 200, 40), (60, 80, 200), (150, 60, 160), (120, 80, 50), (30, 160, 160)]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="CSV with file and duplicate_group")
    parser.add_argument("--growth", type=int, help="measure the search up to so many pictures, and nothing else")
    options = parser.parse_args()
    if options.growth:
        print_growth(options.growth)
        return
    print("| different pictures | number | pairs alike by hash | after the second look |\n|---|---|---|---|")
    for name, pictures in different():
        by_hash, by_look = count_pairs(pictures)
        print(f"| {name} | {len(pictures)} | {by_hash:,} | {by_look:,} |")
    print("\n| copies of photographs, documents, glyphs, digits | number | by hash | after the second look |")
    print("|---|---|---|---|")
    for name, change in CHANGES.items():
        print(f"| {name} | {' | '.join(recall(name, change))} |")
    if options.photos:
        print(f"\nknown pairs of {options.photos}: {known_pairs(options.photos)}")


def different() -> Iterator[tuple[str, list[Image.Image]]]:
    """Kinds of pictures that look alike and are different."""
    yield "fixed camera, a part with another scratch each, one without", [fixed_camera(seed) for seed in range(40)]
    yield "fixed camera, parts with a grain of their own", [fixed_camera(seed, grain=0.25) for seed in range(40)]
    yield "discs of one place and other colours", [disc(colour) for colour in COLOURS]
    yield "traffic lights", [traffic_light(lit) for lit in range(3)]
    yield "letters and digits of a font", [glyph(char) for char in GLYPHS]
    yield "pages of text in one layout", [document(seed) for seed in range(40)]
    yield "one form, filled in differently", [form(seed) for seed in range(40)]
    yield "faces of an emoji font", faces()
    yield "digits by hand, 8 x 8 pixels", digits()


def noisy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """As a sensor takes it: another light by up to 3 %, a step of a pixel, noise of 3 levels."""
    pixels = np.roll(np.asarray(image, float), tuple(rng.integers(-1, 2, 2)), (0, 1))
    pixels = pixels * (1 + rng.uniform(-0.03, 0.03)) + rng.normal(0, 3, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def smooth(seed: int, cells: int, low: int, high: int) -> Image.Image:
    """Soft spots of all colours."""
    noise = np.random.default_rng(seed).integers(low, high, (cells, cells, 3), np.uint8)
    return Image.fromarray(noise).resize((256, 256), Image.Resampling.BICUBIC)


def fixed_camera(seed: int, *, grain: float = 0.0) -> Image.Image:
    """A round part on a bench: with a scratch (all but seed 0), or with a surface of its own."""
    rng, image = np.random.default_rng(seed), smooth(5, 6, 90, 170)
    draw = ImageDraw.Draw(image)
    draw.ellipse((58, 58, 198, 198), (140, 140, 150))
    draw.rectangle((110, 110, 146, 146), (70, 72, 75))
    draw.line((20, 30, 240, 25), (40, 40, 40), 6)
    if grain:
        own = (np.asarray(smooth(100 + seed, 24, 0, 255), float) - 128) * grain
        disc_ = Image.new("L", (256, 256))
        ImageDraw.Draw(disc_).ellipse((58, 58, 198, 198), 255)
        pixels = np.asarray(image, float) + own * (np.asarray(disc_)[..., None] > 0)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    elif seed:
        (x, y), turn, length = rng.uniform(70, 150, 2), rng.uniform(0, np.pi), rng.uniform(30, 80)
        level = int(rng.choice([60, 200, 225]))
        end = (x + length * np.cos(turn), y + length * np.sin(turn))
        draw.line((x, y, *end), (level, level, level), int(rng.integers(2, 5)))
    return noisy(image, rng)


def disc(colour: tuple[int, int, int]) -> Image.Image:
    """A disc on white."""
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).ellipse((24, 28, 100, 100), colour)
    return image


def traffic_light(lit: int) -> Image.Image:
    """Three lamps, of which one is lit."""
    image = smooth(3, 5, 100, 200)
    draw = ImageDraw.Draw(image)
    draw.rectangle((96, 38, 160, 218), (30, 30, 30))
    for place, colour in enumerate([(230, 30, 30), (240, 190, 30), (40, 210, 70)]):
        shown = colour if place == lit else tuple(level // 5 + 10 for level in colour)
        draw.ellipse((106, 48 + 56 * place, 150, 92 + 56 * place), shown)
    return image


GLYPHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&@#%?!"


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib carries."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSerif.ttf")), size)


def glyph(char: str) -> Image.Image:
    """A large letter."""
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).text((64, 64), char, (0, 0, 0), font=font(88), anchor="mm")
    return image


def document(seed: int) -> Image.Image:
    """A page of four paragraphs under a heading."""
    rng, image = np.random.default_rng(seed), Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(image)
    draw.text((40, 36), f"Invoice {rng.integers(1000, 9999)}", (0, 0, 0), font=font(22))
    for line in range(24):
        text = " ".join(rng.choice(WORDS, 12))[: 56 if line % 6 < 5 else int(rng.integers(15, 50))]
        draw.text((40, 90 + 17 * line + 22 * (line // 6)), text, (20, 20, 20), font=font(13))
    return image


def form(seed: int) -> Image.Image:
    """Fourteen fields with numbers in them."""
    rng, image = np.random.default_rng(seed), Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(image)
    for place, word in enumerate(WORDS[:14]):
        top = 60 + 38 * place
        draw.rectangle((40, top, 440, top + 30), outline=(0, 0, 0))
        number = "".join(rng.choice(list("0123456789"), int(rng.integers(5, 14))))
        draw.text((50, top + 6), f"{word.title()}:", (0, 0, 0), font=font(16))
        draw.text((200, top + 6), number, (20, 20, 120), font=font(16))
    return image


def faces() -> list[Image.Image]:
    """Round faces with other eyes and mouths."""
    made = []
    for kind in range(24):
        image = Image.new("RGB", (72, 72), "white")
        draw, brown = ImageDraw.Draw(image), (60, 40, 20)
        draw.ellipse((4, 4, 68, 68), (255, 205, 70))
        for x in (24, 48):
            if kind % 4 == 0:
                draw.ellipse((x - 4, 22, x + 4, 34), brown)
            elif kind % 4 == 1:
                draw.line((x - 6, 28, x + 6, 28), brown, 3)
            elif kind % 4 == 2:
                draw.arc((x - 6, 22, x + 6, 34), 180, 360, brown, 3)
            else:
                draw.polygon([(x, 20), (x + 7, 28), (x, 36), (x - 7, 28)], (220, 30, 50))
        if kind // 4 == 0:
            draw.arc((20, 30, 52, 58), 20, 160, brown, 3)
        elif kind // 4 == 1:
            draw.arc((20, 46, 52, 66), 200, 340, brown, 3)
        elif kind // 4 == 2:
            draw.line((24, 52, 48, 52), brown, 3)
        elif kind // 4 == 3:
            draw.ellipse((30, 44, 42, 60), brown)
        elif kind // 4 == 4:
            draw.chord((20, 34, 52, 60), 0, 180, (120, 40, 30))
        else:
            draw.chord((22, 40, 50, 60), 0, 180, (255, 255, 255), brown)
        made.append(image)
    return made


def digits() -> list[Image.Image]:
    """The 1,797 digits of scikit-learn."""
    from sklearn.datasets import load_digits

    return [Image.fromarray((255 - 15.9 * image).astype(np.uint8)).convert("RGB") for image in load_digits().images]


def encoded(image: Image.Image, quality: int) -> Image.Image:
    """As a JPEG gives it back."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    """At another size."""
    width, height = (max(8, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Without a share of each side, somewhere."""
    left, top = rng.uniform(0, share, 2)
    box = (left, top, 1 - share + left, 1 - share + top)
    return image.crop(tuple(round(part * side) for part, side in zip(box, image.size * 2, strict=True)))


def burst(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The next picture of a hand that is not still."""
    width, height = image.size
    shift = tuple(rng.uniform(0.005, 0.015, 2) * rng.choice([-1, 1], 2) * image.size)
    turned = image.rotate(rng.uniform(-1, 1), Image.Resampling.BICUBIC, translate=shift)
    return noisy(turned.crop((width // 25, height // 25, width * 24 // 25, height * 24 // 25)), rng)


CHANGES: dict[str, Change] = {
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    **{f"JPEG of quality {q}": lambda image, rng, q=q: encoded(image, q) for q in (30, 60, 90)},
    "at half the size": lambda image, rng: resized(image, 0.5),
    "at 1.7 times the size": lambda image, rng: resized(image, 1.7),
    "darker by 20 %": lambda image, rng: ImageEnhance.Brightness(image).enhance(0.8),
    "brighter by 20 %": lambda image, rng: ImageEnhance.Brightness(image).enhance(1.2),
    "cropped by 3 %": lambda image, rng: cropped(image, 0.03, rng),
    "cropped by 5 %": lambda image, rng: cropped(image, 0.05, rng),
    "the next of a burst": burst,
    "mirrored, cropped by 2 %, quality 50": lambda image, rng: encoded(cropped(ImageOps.mirror(image), 0.02, rng), 50),
}


def read(pictures: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes uint64 [N, 2] and small pictures uint8 [N, 64, 64, 3]."""
    small = [picture.resize((LOOK_SIZE, LOOK_SIZE), Image.Resampling.BILINEAR) for picture in pictures]
    return np.array([perceptual_hashes(picture) for picture in pictures], np.uint64), np.stack(small)


def count_pairs(pictures: list[Image.Image]) -> tuple[int, int]:
    """The pairs that lie in one group, by the hashes alone and after the second look."""
    hashes, looks = read(pictures)
    return tuple(  # type: ignore[return-value]
        sum(int(size) * (int(size) - 1) // 2 for size in np.bincount(groups))
        for groups in (duplicate_groups(hashes), duplicate_groups(hashes, looks=looks))
    )


def recall(name: str, change: Change) -> tuple[str, str, str]:
    """How many copies there are, and the share of them that is found."""
    rng = np.random.default_rng(len(name))
    sample = [Image.open(path).convert("RGB") for path in sorted(SAMPLE.glob("*/*.jpg"))[::2]]
    others = [document(seed) for seed in range(20)] + [glyph(char) for char in GLYPHS[::4]]
    originals = [*sample, *others, *(resized(digit, 8) for digit in digits()[:20])]
    hashes, looks = read([*originals, *(change(picture, rng) for picture in originals)])
    shares = []
    for groups in (duplicate_groups(hashes), duplicate_groups(hashes, looks=looks)):
        first, second = np.split(groups, 2)
        shares.append(f"{(first == second).mean():.1%}")
    return f"{len(originals)}", shares[0], shares[1]


def known_pairs(photos: Path) -> str:
    """How many of the pairs that a list names are found, and how many others."""
    with photos.open() as file:
        rows = list(csv.DictReader(file))
    folder = photos.with_suffix("") if photos.with_suffix("").is_dir() else photos.parent
    hashes, looks = read([Image.open(folder / row["file"]).convert("RGB") for row in rows])
    names = np.unique([row["duplicate_group"] for row in rows], return_inverse=True)[1]
    known = np.triu(names[:, None] == names, 1)
    said = []
    for label, groups in (("hash", duplicate_groups(hashes)), ("look", duplicate_groups(hashes, looks=looks))):
        found = np.triu(groups[:, None] == groups, 1)
        said.append(f"by {label} {(found & known).sum()} of {known.sum()}, and {(found & ~known).sum()} others")
    return "; ".join(said)


def print_growth(most: int) -> None:
    """CPU-seconds of the search, for twice as many pictures each time."""
    print("| pictures | of them copies | CPU-seconds | found |\n|---|---|---|---|")
    for count in (most // 8, most // 4, most // 2, most):
        rng = np.random.default_rng(0)
        hashes = rng.integers(0, 1 << 64, (count, 2), np.uint64)
        copies = count // 10
        hashes[-copies:] = hashes[:copies] ^ (np.uint64(1) << rng.integers(0, 64, (copies, 1), np.uint64))
        looks = _Drawn(count, copies)
        start = time.process_time()
        groups = duplicate_groups(hashes, looks=looks)
        seconds = time.process_time() - start
        print(f"| {count:,} | {copies:,} | {seconds:.1f} | {(groups != np.arange(count)).sum():,} |", flush=True)


class _Drawn:
    """Small pictures that are drawn when they are asked for, the last ones like the first ones."""

    def __init__(self, count: int, copies: int) -> None:
        self._first_copy = count - copies

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        of = np.where(index >= self._first_copy, index - self._first_copy, index)
        spots = (of[:, None] * np.arange(1, 193) * 2654435761 >> 7) % 256
        return spots.reshape(-1, 8, 8, 3).astype(np.uint8).repeat(8, 1).repeat(8, 2)


if __name__ == "__main__":
    main()
