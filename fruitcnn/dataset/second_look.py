"""Whether two pictures whose hashes are alike are one picture: laid over each other, they hardly differ.

The hash is grey and coarse: a ripe and an unripe fruit, two forms that are filled in differently, a part with and
without a scratch have the same one. The second look compares small colour pictures: it moves, zooms, turns and
brightens one of them a little until it lies on the other (Gauss-Newton, after Lucas and Kanade, 1981), as a crop, a
burst or another exposure would need it, and judges what remains. Measured in benchmarks/near_duplicates.py.
"""

import numpy as np

from fruitcnn.arrays import BoolArray, Float32Array
from fruitcnn.dataset.hashes import GREY
from fruitcnn.image import Pixels

# Side of the pictures that are compared.
LOOK_SIZE = 64
# What may remain, in units of the pictures' own contrast: over all of the picture, and in its worst hundredth.
_MOST_OVERALL, _MOST_AT_WORST = 0.15, 0.3
# What remains at half the size, which rules a pair out before the finer steps.
_HOPELESS = 0.25
# A worst hundredth that differs no more than this many times as much as the calmer three quarters is noise.
_LIKE_THE_REST = 2.8
# A copy differs everywhere a little, and most at its edges: by so much of the slope that both pictures have there. What
# the worst two-hundredth of a still camera's picture differs by beyond that, in units of the calmer three quarters.
_OF_THE_SLOPE, _MOST_UNEXPLAINED, _LEAST_NOISE = 0.5, 2.0, 0.5
# A mark that faint, in units of the contrast, is none.
_FAINT = 0.1
# Levels of noise in those three quarters, beyond which a mark can't be told from what an encoder does.
_NOISY = 3.0
# Pictures that had to be moved by more than this many pixels, and how much more may remain of such.
_MOVED, _ROOM_WHERE_MOVED = 0.75, 1.8
# The margin in which logos and dates are written, and in which crops and bursts differ.
_MARGIN = 8
# Levels beyond which light is lost.
_BRIGHT, _DARK = 250, 5
# And beside which there may be lights that are.
_NEAR_WHITE = 225
# By how much light may differ from one picture to the next of one camera.
_SAME_LIGHT = 0.05
# Levels (of 255) that every camera and encoder may differ by.
_NOISE, _FLOOR = 2.0, 8.0
# Steps of the alignment at half the size and at the full one.
_STEPS = (4, 1)
# Half a standard deviation or so of what is expected: shifts of 3 % of the side, gains of 20 %, offsets of 10 %.
_EXPECTED_SHIFT, _EXPECTED_GAIN, _EXPECTED_OFFSET = 0.03, 0.2, 0.1
_MOST_SHIFT, _MOST_GAIN, _MOST_OFFSET = 0.08, 0.35, 0.2


def are_same(first: Pixels, second: Pixels) -> BoolArray:
    """Whether pictures are pairwise the same one, but for a little room, light and loss: bool [P].

    first, second: uint8 [P, 64, 64, 3], mirrored already where mirror images are meant.
    """
    # The darker one is relit: what is overexposed in the brighter one, then comes out overexposed as well.
    is_darker = (first.mean((1, 2, 3)) < second.mean((1, 2, 3)))[:, None, None, None]
    one = _smooth(np.where(is_darker, second, first).astype(np.float32))
    other = _smooth(np.where(is_darker, first, second).astype(np.float32))
    contrast = np.sqrt(_contrast(one) * _contrast(other)) + _FLOOR
    halves = _halved(one), _halved(other)
    moved, light = _align(*halves, _STEPS[0])
    left = _left(*halves, moved, light)
    (likely,) = np.nonzero(_overall(left) <= _HOPELESS * contrast)
    same = np.zeros(len(one), bool)
    if not len(likely):
        return same
    moved, light = _align(one[likely], other[likely], _STEPS[1], 2 * moved[likely], light[likely])
    left = _left(one[likely], other[likely], moved, light)
    far = np.abs(moved).max(1)
    slope = np.minimum(_slope(one[likely]), _slope(other[likely]))
    is_explained = (far >= _MOVED) | _is_explained(left, slope, contrast[likely])
    same[likely] = _is_little(left, contrast[likely], far) & is_explained
    return same


def _left(one: Float32Array, other: Float32Array, moved: Float32Array, light: Float32Array) -> Float32Array:
    """What differs [P, S, S], in levels, between pictures [P, S, S, 3] once `other` lies on `one`."""
    seen, inside = _warp(other, moved)
    light = _light(one, seen, inside, light)
    expected = _relit(seen, light)
    # What is overexposed, or drowned in black, in one of them can't be compared.
    lost = (seen > _BRIGHT) & (one > expected) | (seen < _DARK) & (one < expected)
    left = np.where(lost, 0, one - expected.clip(0, 255))
    # Nor what was cut off of lights too small to be seen here.
    most = 255 * (light.sum(1) - _SAME_LIGHT).clip(0)
    cut = most[:, None, None] * (_largest_beside(one.max(-1)) > _NEAR_WHITE)
    left = np.where(left < 0, np.minimum(left + cut[..., None], 0), left)
    remains: Float32Array = np.sqrt((left**2).mean(-1)) * inside
    return remains


def _light(one: Float32Array, seen: Float32Array, inside: BoolArray, light: Float32Array) -> Float32Array:
    """The light [P, 2] in which `seen` is most like `one` [P, S, S, 3]: by all colours, where none is at its end."""
    most = np.array([_MOST_GAIN, _MOST_OFFSET], np.float32)
    pairs, missing = len(one), one - seen
    for _ in range(2):
        known = inside[..., None] & (seen < _BRIGHT) & (one < _BRIGHT) & (_relit(seen, light) < 255)
        rows = np.stack([seen * known, np.float32(255) * known], 1).reshape(pairs, 2, -1)
        wanted = rows @ np.where(known, missing, 0).reshape(pairs, -1, 1)
        light = np.linalg.solve(rows @ rows.transpose(0, 2, 1) + 1e3 * np.eye(2), wanted)[..., 0].astype(np.float32)
        light = light.clip(-most, most)
    return light


def _overall(left: Float32Array) -> Float32Array:
    overall: Float32Array = np.sqrt((left**2).mean((1, 2)))
    return overall


def _is_little(left: Float32Array, contrast: Float32Array, moved: Float32Array) -> BoolArray:
    """Whether what differs [P, S, S] may come from an encoder, in pictures of a contrast that were moved so far [P]."""
    middle = np.sort(_middle(left), 1)
    places = middle.shape[1]
    worst = middle[:, -places // 100 :].mean(1)
    calm = middle[:, places * 3 // 4] + _NOISE
    # A camera that has not moved shows its scene again: there a small difference is what matters.
    room = np.where(moved < _MOVED, 1, _ROOM_WHERE_MOVED)
    at_worst = (worst <= _MOST_AT_WORST * room * contrast) | (worst <= _LIKE_THE_REST * room * calm)
    is_little: BoolArray = (_overall(left) <= _MOST_OVERALL * contrast) & at_worst
    return is_little


def _is_explained(left: Float32Array, slope: Float32Array, contrast: Float32Array) -> BoolArray:
    """Whether what differs [P, S, S] is noise and loss at the edges that both have [P, S, S], not a mark on one.

    contrast: of the pictures [P], beside which a mark may be too faint to count.
    """
    middle, edges = (_middle(values) for values in (left, slope))
    calm = np.quantile(middle, 0.75, 1) + _LEAST_NOISE
    beyond = np.sort(middle - _OF_THE_SLOPE * edges, 1)[:, -middle.shape[1] // 200 :].mean(1)
    faint = beyond <= _FAINT * contrast
    is_explained: BoolArray = (beyond <= _MOST_UNEXPLAINED * calm) | (calm > _NOISY) | faint
    return is_explained


def _middle(values: Float32Array) -> Float32Array:
    """Of values [P, S, S] those that lie within the margin: [P, K]."""
    return values[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN].reshape(len(values), -1)


def _slope(pictures: Float32Array) -> Float32Array:
    """The steepest slope at each place of pictures [P, S, S, 3] or beside it, in levels a pixel: [P, S, S]."""
    return _largest_beside(np.sqrt(sum((np.gradient(pictures, axis=axis) ** 2).mean(-1) for axis in (1, 2))))


def _largest_beside(values: Float32Array) -> Float32Array:
    """The largest of values [P, S, S] at each place or beside it."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), "edge")
    rows = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    largest: Float32Array = np.maximum(np.maximum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
    return largest


def _align(
    one: Float32Array,
    other: Float32Array,
    steps: int,
    moved: Float32Array | None = None,
    light: Float32Array | None = None,
) -> tuple[Float32Array, Float32Array]:
    """How `other` has to be moved and relit to lie on `one`, pictures [P, S, S, 3].

    Returns [P, 6], the shifts down and to the right in pixels with their growths along both axes, and [P, 2], the gain
    less 1 and the offset. Starts from `moved` and `light`.
    """
    pairs, side = one.shape[:2]
    grey, others = one @ GREY, (other @ GREY)[..., None]
    rows, columns = _axes(side)
    down, right = np.gradient(grey, axis=1), np.gradient(grey, axis=2)
    scale = np.array([side * _EXPECTED_SHIFT] * 6 + [_EXPECTED_GAIN, _EXPECTED_OFFSET], np.float32)
    most = np.array([side * _MOST_SHIFT] * 6 + [_MOST_GAIN, _MOST_OFFSET], np.float32)
    prior = (_NOISE * 1.5 / scale) ** 2
    found = np.zeros((pairs, 8), np.float32)
    if moved is not None and light is not None:
        found = np.concatenate([moved, light], 1)
    for _ in range(steps):
        seen, inside = _warp(others, found[:, :6])
        expected = _relit(seen[..., 0], found[:, 6:])
        inside &= (seen[..., 0] < _BRIGHT) & (grey < _BRIGHT) & (expected < 255)
        error = ((grey - expected) * inside).reshape(pairs, side * side, 1)
        slopes = [down, down * rows, down * columns, right, right * rows, right * columns]
        slopes += [seen[..., 0], np.full_like(grey, 255)]
        jacobian = (np.stack(slopes, -1) * inside[..., None]).reshape(pairs, side * side, 8)
        turned = jacobian.transpose(0, 2, 1)
        pull = (turned @ error)[..., 0] - prior * found
        found += np.linalg.solve(turned @ jacobian + np.diag(prior), pull[..., None])[..., 0]
        found = found.clip(-most, most)
    return found[:, :6], found[:, 6:]


def _warp(pictures: Float32Array, moved: Float32Array) -> tuple[Float32Array, BoolArray]:
    """Pictures [P, S, S, K] read at the moved places, and which of those [P, S, S] lie inside."""
    pairs, side = pictures.shape[:2]
    rows, columns = _axes(side)
    by = moved[:, :, None, None]
    y = np.arange(side, dtype=np.float32)[:, None] + by[:, 0] + by[:, 1] * rows + by[:, 2] * columns
    x = np.arange(side, dtype=np.float32) + by[:, 3] + by[:, 4] * rows + by[:, 5] * columns
    inside = (np.abs(y - (side - 1) / 2) <= side / 2) & (np.abs(x - (side - 1) / 2) <= side / 2)
    y, x = y.clip(0, side - 1.001), x.clip(0, side - 1.001)
    top, left = y.astype(np.int32), x.astype(np.int32)
    down, right = (y - top)[..., None], (x - left)[..., None]
    place = np.arange(pairs)[:, None, None] * side * side + top * side + left
    flat = pictures.reshape(pairs * side * side, pictures.shape[-1])
    upper = flat[place] * (1 - right) + flat[place + 1] * right
    lower = flat[place + side] * (1 - right) + flat[place + side + 1] * right
    return (upper * (1 - down) + lower * down).astype(np.float32), inside


def _relit(pictures: Float32Array, light: Float32Array) -> Float32Array:
    """Pictures [P, ...] in another light [P, 2]."""
    gain, offset = light.T.reshape(2, -1, *[1] * (pictures.ndim - 1))
    relit: Float32Array = pictures * (1 + gain) + 255 * offset
    return relit


def _axes(side: int) -> tuple[Float32Array, Float32Array]:
    """Places from -1 to 1, down [S, 1] and to the right [S]."""
    places = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    return places[:, None], places


def _smooth(pictures: Float32Array) -> Float32Array:
    """Pictures [P, S, S, 3] without what is finer than two pixels, which moving by a part of a pixel would change."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / np.float32(4)
    smooth: Float32Array = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(4)
    return smooth


def _halved(pictures: Float32Array) -> Float32Array:
    pairs, side = pictures.shape[:2]
    halved: Float32Array = pictures.reshape(pairs, side // 2, 2, side // 2, 2, 3).mean((2, 4))
    return halved


def _contrast(pictures: Float32Array) -> Float32Array:
    """How far pictures [P, S, S, 3] stray from their own mean colour, in levels: [P]."""
    contrast: Float32Array = np.sqrt(pictures.var((1, 2)).mean(-1))
    return contrast
