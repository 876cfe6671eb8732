"""Random changes to a batch of training pictures, each picture its own, on the device where they lie.

All randomness comes from torch's global generator of that device, which the training seeds anew every epoch.
"""

import math

import torch
from torch.nn import functional

from fruitcnn.config import AugmentConfig

_PADDING = {"edge": "border", "reflect": "reflection"}
# Side of a cutout square, as a share of the picture's (DeVries and Taylor 2017 use about a half).
_CUTOUT = (0.15, 0.45)
# From RGB to luma and the two colour axes of NTSC television.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


def augment(pixels: torch.Tensor, config: AugmentConfig, *, size: int) -> torch.Tensor:
    """Random views of a batch: uint8 [N, 3, S, S] in, float32 [N, 3, size, size] in 0..255 out."""
    count = len(pixels)
    grid = functional.affine_grid(_affine(count, config, pixels.device), [count, 3, size, size], align_corners=False)
    views = functional.grid_sample(pixels.float(), grid, padding_mode=_PADDING[config.fill], align_corners=False)
    views = _colour(views, config).clamp(0, 255)
    return _cutout(views, config.cutout) if config.cutout else views


def _uniform(count: int, low: float, high: float, device: torch.device) -> torch.Tensor:
    return torch.empty(count, device=device).uniform_(low, high)


def _affine(count: int, config: AugmentConfig, device: torch.device) -> torch.Tensor:
    """Matrices [N, 2, 3] from a view's coordinates (-1..1) to its picture's."""

    def either_side(limit: float) -> torch.Tensor:
        return _uniform(count, -limit, limit, device)

    zoom = _uniform(count, *config.zoom, device)
    ratio = torch.exp(either_side(math.log(config.aspect) / 2))
    width, height = zoom * ratio, zoom / ratio
    angle, shear = either_side(math.radians(config.rotation)), either_side(math.radians(config.shear))
    mirror = torch.where(torch.rand(count, device=device) < 0.5 * config.flip, -1.0, 1.0)
    # A view smaller than the picture may lie anywhere in it; `shift` may push it further, over the edge.
    move_x = either_side(1.0) * ((1 - width).clamp(min=0) + 2 * config.shift)
    move_y = either_side(1.0) * ((1 - height).clamp(min=0) + 2 * config.shift)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        mirror * cos * width, (torch.tan(shear) * cos - sin) * height, move_x,
        mirror * sin * width, (torch.tan(shear) * sin + cos) * height, move_y,
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _colour(views: torch.Tensor, config: AugmentConfig) -> torch.Tensor:
    def strength(limit: float, channels: int = 1) -> torch.Tensor:
        return 1 + _uniform(len(views) * channels, -limit, limit, views.device).view(-1, channels, 1, 1)

    if config.contrast or config.brightness:
        mean = views.mean((1, 2, 3), keepdim=True)
        views = ((views - mean) * strength(config.contrast) + mean) * strength(config.brightness)
    if config.saturation or config.hue or config.grey:
        lost = torch.rand(len(views), 1, 1, 1, device=views.device) < config.grey
        turned = _turn_hue(views, config.hue)
        luma = torch.einsum("c,nchw->nhw", _YIQ.to(views.device)[0], views)[:, None]
        views = luma + (turned - luma) * strength(config.saturation).masked_fill(lost, 0.0)
    return views * strength(config.tint, channels=3) if config.tint else views


def _turn_hue(views: torch.Tensor, limit: float) -> torch.Tensor:
    """Turn the colours of each picture by an angle of its own, in the plane of equal luma."""
    yiq = _YIQ.to(views.device)
    angle = _uniform(len(views), -math.radians(limit), math.radians(limit), views.device)
    turn = torch.eye(3, device=views.device).repeat(len(views), 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle)
    turn[:, 2, 1] = torch.sin(angle)
    turn[:, 1, 2] = -turn[:, 2, 1]
    return torch.einsum("nij,njhw->nihw", torch.linalg.inv(yiq) @ turn @ yiq, views)


def _cutout(views: torch.Tensor, probability: float) -> torch.Tensor:
    count, size, device = len(views), views.shape[-1], views.device
    position = torch.arange(size, device=device)
    half = _uniform(count, *_CUTOUT, device)[:, None] * size / 2
    across = (position - _uniform(count, 0, size, device)[:, None]).abs() < half
    down = (position - _uniform(count, 0, size, device)[:, None]).abs() < half
    chosen = torch.rand(count, device=device) < probability
    mask = down[:, None, :, None] & across[:, None, None, :] & chosen[:, None, None, None]
    return views.masked_fill(mask, 127.5)
