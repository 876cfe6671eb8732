"""Random views: nothing where nothing is asked for, each change what it says, each picture its own."""

import pytest
import torch

from fruitcnn.config import AugmentConfig
from fruitcnn.training.augmentation import augment

PIXELS = torch.randint(0, 256, (6, 3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_no_augmentation_is_the_picture_itself() -> None:
    assert torch.allclose(augment(PIXELS, AugmentConfig(), size=24), PIXELS.float(), atol=1e-2)


def test_a_flip_is_an_exact_mirror_image_of_about_every_other_picture() -> None:
    torch.manual_seed(0)
    pixels = PIXELS.repeat(50, 1, 1, 1)
    views = augment(pixels, AugmentConfig(flip=True), size=24)
    same = (views - pixels).abs().amax((1, 2, 3)) < 1e-2
    mirrored = (views - pixels.flip(3)).abs().amax((1, 2, 3)) < 1e-2
    assert bool((same ^ mirrored).all())
    assert 110 < int(mirrored.sum()) < 190


def test_a_zoomed_view_is_a_part_of_the_picture() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(200, 3, 64, 64)
    torch.manual_seed(0)
    views = augment(ramp, AugmentConfig(zoom=(0.5, 0.5)), size=32)
    width = views[:, 0, 0, -1] - views[:, 0, 0, 0]
    assert torch.allclose(width, torch.full_like(width, 31.0), atol=0.5), "half of the side: 32 of 64 columns"
    left = views[:, 0, 0, 0]
    assert float(left.min()) < 3 and float(left.max()) > 29, "anywhere in the picture"


def test_rotation_by_a_right_angle_in_pixels() -> None:
    pixels = torch.zeros(1, 3, 9, 17, dtype=torch.uint8)[:, :, :, :9]
    pixels[:, :, 0, :] = 200
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        view = augment(pixels, AugmentConfig(rotation=90), size=9)[0, 0]
        seen.add(tuple((view > 100).nonzero().float().mean(0).round().int().tolist()))
    columns = [column for _, column in seen]
    assert {row for row, _ in seen} >= {0, 2} and min(columns) <= 2 and max(columns) >= 6, "swings to both sides"


def test_shift_fills_with_the_edge() -> None:
    pixels = torch.full((64, 3, 16, 16), 90, dtype=torch.uint8)
    assert torch.allclose(augment(pixels, AugmentConfig(shift=0.4, shear=20, fill="edge"), size=16), torch.tensor(90.0))


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "tint"])
def test_colours_stay_within_their_bounds(change: str) -> None:
    torch.manual_seed(0)
    views = augment(PIXELS.repeat(40, 1, 1, 1), AugmentConfig(**{change: 0.5}), size=24)
    assert float(views.min()) >= 0 and float(views.max()) <= 255
    assert (views - PIXELS.repeat(40, 1, 1, 1)).abs().amax((1, 2, 3)).min() > 0.1
    if change == "contrast":
        grey = torch.full((4, 3, 8, 8), 100, dtype=torch.uint8)
        assert torch.allclose(augment(grey, AugmentConfig(contrast=0.5), size=8), torch.tensor(100.0), atol=1e-3)


def test_hue_and_grey_keep_the_luma() -> None:
    pixels = (PIXELS.float() * 0.2 + 100).to(torch.uint8).repeat(40, 1, 1, 1)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    before = (pixels * luma).sum(1)
    torch.manual_seed(0)
    for config in (AugmentConfig(hue=40), AugmentConfig(grey=1.0)):
        views = augment(pixels, config, size=24)
        assert (views - pixels).abs().amax((1, 2, 3)).median() > 5
        assert torch.allclose((views * luma).sum(1), before, atol=0.1)
    assert float((views.amax(1) - views.amin(1)).max()) < 0.01, "grey"
    assert torch.allclose(
        augment(pixels[:, :1].expand_as(pixels), AugmentConfig(hue=40), size=24), pixels[:, :1].float(), atol=0.1
    )


def test_cutout_is_one_grey_square_in_the_share_of_pictures() -> None:
    pixels = torch.full((400, 3, 40, 40), 10, dtype=torch.uint8)
    torch.manual_seed(0)
    grey = augment(pixels, AugmentConfig(cutout=0.5), size=40) == 127.5
    share = grey.any(1).float().mean((1, 2))
    assert 140 < int((share > 0).sum()) < 260
    assert float(share.max()) < 0.45**2 + 0.05
    assert bool((grey[:, 0] == grey[:, 2]).all())


def test_pictures_of_one_batch_differ_and_a_seed_repeats_them() -> None:
    config = AugmentConfig(rotation=30, zoom=(0.6, 1.0), brightness=0.3, cutout=0.5)
    same = PIXELS[:1].repeat(6, 1, 1, 1)
    torch.manual_seed(3)
    first = augment(same, config, size=20)
    torch.manual_seed(3)
    again = augment(same, config, size=20)
    assert first.shape == (6, 3, 20, 20) and torch.equal(first, again)
    assert all(not torch.equal(first[0], view) for view in first[1:])


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "tint"])
def test_every_change_of_colour_is_the_formula_of_its_name(change: str) -> None:
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    pixels = (PIXELS.float() * 0.3 + 80).to(torch.uint8).float()  # nothing is clamped
    torch.manual_seed(5)
    views = augment(pixels.to(torch.uint8), AugmentConfig(**{"contrast": 0.3, "tint": 0.2, change: 0.4}), size=24)
    torch.manual_seed(5)
    torch.rand(7, 6)  # the geometry

    def strength(limit: float, channels: int = 1) -> torch.Tensor:
        return torch.empty(6, channels, 1).uniform_(1 - limit, 1 + limit)[..., None]

    contrast, brightness = strength(0.4 if change == "contrast" else 0.3), strength(0.4 * (change == "brightness"))
    mean = pixels.mean((1, 2, 3), keepdim=True)
    expected = ((pixels - mean) * contrast + mean) * brightness
    if change == "saturation":
        kept = strength(0.4)
        torch.rand(6), torch.empty(6).uniform_()  # who loses all colour; the hue
        grey = (expected * luma).sum(1, keepdim=True)
        expected = grey + (expected - grey) * kept
    expected = expected * strength(0.4 if change == "tint" else 0.2, channels=3)
    assert torch.allclose(views, expected, atol=0.05)


def test_a_hue_is_turned_and_not_bent() -> None:
    """In the plane of the two colour axes every colour keeps its distance from grey."""
    axes = torch.tensor([[0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    pixels = (PIXELS.float() * 0.2 + 100).to(torch.uint8)
    torch.manual_seed(0)
    views = augment(pixels, AugmentConfig(hue=60), size=24)
    before, after = (torch.einsum("ac,nchw->nahw", axes, x.float()).norm(dim=1) for x in (pixels, views))
    assert torch.allclose(before, after, atol=0.1)
