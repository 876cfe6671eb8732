"""Pictures that look alike to a hash: which are copies, and which are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from fruitcnn.dataset.duplicates import duplicate_groups
from fruitcnn.dataset.hashes import perceptual_hashes
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.second_look import LOOK_SIZE
from tests.conftest import REPOSITORY

SAMPLE = sorted((REPOSITORY / "dataset" / "sample").glob("*/*.jpg"))[::12]


def groups_of(pictures: list[Image.Image], *, look: bool = True) -> list[int]:
    hashes = np.array([perceptual_hashes(picture) for picture in pictures], np.uint64)
    looks = np.stack([picture.resize((LOOK_SIZE, LOOK_SIZE), Image.Resampling.BILINEAR) for picture in pictures])
    return duplicate_groups(hashes, looks=looks if look else None).tolist()


def encoded(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """Without 2 % of the width and 1 % of the height, on one side."""
    return image.crop((0, 0, image.width * 98 // 100, image.height * 99 // 100))


def within(image: Image.Image) -> Image.Image:
    """Without 7 % of both, on all sides."""
    width, height = image.size
    return image.crop((width * 3 // 100, height * 4 // 100, width * 96 // 100, height * 97 // 100))


COPIES = {
    "mirrored": ImageOps.mirror,
    "quality 50": lambda image: encoded(image, 50),
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "within": within,
    "mirrored, within": lambda image: within(ImageOps.mirror(image)),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.85),
    "cropped": cropped,
    "mirrored, cropped, encoded": lambda image: encoded(cropped(ImageOps.mirror(image)), 50),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_the_same_picture(name: str) -> None:
    originals = [Image.open(path).convert("RGB") for path in SAMPLE]
    groups = groups_of([*originals, *map(COPIES[name], originals)])
    found = sum(group == number for number, group in enumerate(groups[len(originals) :]))
    assert found >= len(originals) - 1 and groups[: len(originals)] == list(range(len(originals)))


def disc(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((12, 14, 50, 50), colour)
    return image


def part(seed: int, *, thin: bool = False, noise: float = 3) -> Image.Image:
    """A part before a fixed camera, with a scratch of its own (seed 0: without), and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (256, 256), (120, 118, 110))
    draw = ImageDraw.Draw(image)
    draw.ellipse((50, 50, 206, 206), (150, 150, 160))
    draw.rectangle((20, 20, 60, 90), (60, 62, 70))
    if seed:
        x, y = rng.uniform(90, 140, 2)
        draw.line((x, y, x + rng.uniform(-60, 60), y + 30), (100,) * 3 if thin else (60, 60, 60), 2 if thin else 4)
    noisy = np.asarray(image, float) + rng.normal(0, noise, (256, 256, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


ALIKE = {
    "colours": [disc((220, 40, 30)), disc((60, 160, 40)), disc((60, 80, 200)), disc((230, 200, 40))],
    "scratches": [part(seed) for seed in range(8)],
    "scratches in poor light": [part(seed, noise=25) for seed in range(4)],
    "a thin and faint scratch": [part(0), part(4, thin=True)],
}


@pytest.mark.parametrize("name", ALIKE)
def test_pictures_that_only_look_alike_are_not(name: str) -> None:
    pictures = ALIKE[name]
    assert groups_of(pictures) == list(range(len(pictures)))
    assert len(set(groups_of(pictures, look=False))) < len(pictures), "these are alike to the hash"


def test_a_mark_that_is_hardly_seen_is_none() -> None:
    marked = disc((220, 40, 30))
    ImageDraw.Draw(marked).line((18, 32, 44, 32), (206, 40, 30), 2)
    assert groups_of([disc((220, 40, 30)), marked]) == [0, 0]


def leaf(colour: tuple[int, int, int], number: int) -> Image.Image:
    """One of many shapes."""
    image = Image.new("RGB", (64, 64), "white")
    corners = np.random.default_rng(number).integers(4, 60, (4, 2)).tolist()
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in corners], colour)
    return image


def test_classes_of_one_shape_and_other_colours_are_no_near_duplicates(tmp_path: Path) -> None:
    for label, colour in {"ripe": (220, 40, 30), "unripe": (60, 160, 40)}.items():
        (tmp_path / label).mkdir()
        for number in range(8):
            leaf(colour, number).save(tmp_path / label / f"{number}.png")
    assert not any("near-duplicates" in line for line in scan(tmp_path, sizes=[32]).report)


def test_what_is_blank_is_alike_and_many_of_it_are_no_trouble() -> None:
    white, black = Image.new("RGB", (64, 64), "white"), Image.new("RGB", (64, 64), "black")
    groups = groups_of([white] * 150 + [black] * 150)
    assert groups == [0] * 150 + [150] * 150
