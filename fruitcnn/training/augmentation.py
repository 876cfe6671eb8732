"""Random changes to a batch of training pictures, each picture its own, on the device where they lie.

All randomness comes from torch's global generator of that device, which the training seeds anew every epoch. Nothing
here waits for the device: no value is read back, and constants are sent to it once.
"""

import dataclasses
import functools
import math

import torch
from torch.nn import functional

from fruitcnn.config import AugmentConfig

_PADDING = {"edge": "border", "reflect": "reflection"}
# Side of a cutout square, as a share of the picture's (DeVries and Taylor 2017 use about a half).
_CUTOUT = (0.15, 0.45)
# From RGB to luma and the two colour axes of NTSC television.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclasses.dataclass(frozen=True)
class Part:
    """The pictures `rows` of a batch of `whole`."""

    whole: int
    rows: slice


def augment(pixels: torch.Tensor, config: AugmentConfig, *, size: int, part: Part | None = None) -> torch.Tensor:
    """Random views of a batch: uint8 [N, 3, S, S] in, float32 [N, 3, size, size] in 0..255 out.

    part: of which batch these are which pictures; all that is random is drawn for the whole of it, so that each picture
    gets the same view wherever the batch was divided.
    """
    part = part or Part(len(pixels), slice(None))
    matrices = _affine(part, config, pixels.device)
    grid = functional.affine_grid(matrices, [len(pixels), 3, size, size], align_corners=False)
    views = functional.grid_sample(pixels.float(), grid, padding_mode=_PADDING[config.fill], align_corners=False)
    views = _colour(views, config, part).clamp_(0, 255)
    return _cutout(views, config.cutout, part) if config.cutout else views


def _affine(part: Part, config: AugmentConfig, device: torch.device) -> torch.Tensor:
    """Matrices [N, 2, 3] from a view's coordinates (-1..1) to its picture's."""
    share = torch.rand(7, part.whole, device=device)[:, part.rows]  # [7, N] in 0..1
    either_side = 2 * share - 1
    zoom = config.zoom[0] + (config.zoom[1] - config.zoom[0]) * share[0]
    ratio = torch.exp(either_side[1] * math.log(config.aspect) / 2)
    width, height = zoom * ratio, zoom / ratio
    angle, shear = either_side[2] * math.radians(config.rotation), either_side[3] * math.radians(config.shear)
    mirror = 1 - 2 * (share[4] < 0.5 * config.flip).float()
    # A view smaller than the picture may lie anywhere in it; `shift` may push it further, over the edge.
    move_x = either_side[5] * ((1 - width).clamp(min=0) + 2 * config.shift)
    move_y = either_side[6] * ((1 - height).clamp(min=0) + 2 * config.shift)
    cos, sin, tan = torch.cos(angle), torch.sin(angle), torch.tan(shear)
    rows = [
        mirror * cos * width, (tan * cos - sin) * height, move_x,
        mirror * sin * width, (tan * sin + cos) * height, move_y,
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _colour(views: torch.Tensor, config: AugmentConfig, part: Part) -> torch.Tensor:
    """Every change of colour is linear, so that all of them are one matrix and one offset for each picture."""
    count, device = len(views), views.device
    matrix = torch.ones(count, 1, 1, device=device) * torch.eye(3, device=device)  # [N, 3, 3]
    offset = torch.zeros(count, 1, 1, device=device)  # [N, 1, 1], of a matrix that leaves grey as it is

    def strength(limit: float, channels: int = 1) -> torch.Tensor:
        drawn = torch.empty(part.whole, channels, 1, device=device).uniform_(1 - limit, 1 + limit)
        return drawn[part.rows]  # [N, channels, 1]

    if config.contrast or config.brightness:
        contrast, brightness = strength(config.contrast), strength(config.brightness)
        matrix = matrix * (contrast * brightness)
        offset = views.mean((1, 2, 3)).view(-1, 1, 1) * (1 - contrast) * brightness
    if config.saturation or config.hue or config.grey:
        kept = strength(config.saturation)
        kept = kept * (torch.rand(part.whole, 1, 1, device=device)[part.rows] >= config.grey)
        luma = _constants(device)[0]
        matrix = (luma + kept * (_hue_turns(part, config.hue, device) - luma)) @ matrix
    if config.tint:
        tint = strength(config.tint, channels=3)
        matrix, offset = matrix * tint, offset * tint
    return torch.baddbmm(offset, matrix, views.flatten(2)).view_as(views)


def _hue_turns(part: Part, limit: float, device: torch.device) -> torch.Tensor:
    """Matrices [N, 3, 3] that turn colours by an angle of up to `limit` degrees, in the plane of equal luma."""
    angle = torch.empty(part.whole, 1, 1, device=device).uniform_(-math.radians(limit), math.radians(limit))[part.rows]
    luma, colour, turned = _constants(device)
    return luma + torch.cos(angle) * colour + torch.sin(angle) * turned


@functools.cache
def _constants(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """On RGB, each [3, 3]: the luma as grey, the rest of the colour, and that turned by a right angle."""
    # In float64, on the CPU: done once.
    to_yiq = torch.tensor(_YIQ, dtype=torch.float64)
    to_rgb = torch.linalg.inv(to_yiq)
    luma = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.float64)
    colour = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    turned = torch.tensor([[0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    first, second, third = ((to_rgb @ axes @ to_yiq).float().to(device) for axes in (luma, colour, turned))
    return first, second, third


def _cutout(views: torch.Tensor, probability: float, part: Part) -> torch.Tensor:
    size, device = views.shape[-1], views.device
    share = torch.rand(4, part.whole, 1, device=device)[:, part.rows]  # [4, N, 1] in 0..1
    position = torch.arange(size, device=device)
    half = (_CUTOUT[0] + (_CUTOUT[1] - _CUTOUT[0]) * share[0]) * size / 2
    across = (position - size * share[1]).abs() < half  # [N, size]
    down = ((position - size * share[2]).abs() < half) & (share[3] < probability)
    return views.masked_fill(down[:, None, :, None] & across[:, None, None, :], 127.5)
