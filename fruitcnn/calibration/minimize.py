"""The smallest value of a smooth convex function: L-BFGS (Nocedal 1980) in float64."""

import collections
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from fruitcnn.arrays import Float64Array, IntArray

# A value and its gradient, of the shape of the point.
LossAndGradient = Callable[[Float64Array], tuple[float, Float64Array]]
# The same of several functions, by their numbers.
LossesAndGradients = Callable[[IntArray, Float64Array], tuple[Float64Array, Float64Array]]
# Asks for a value and a gradient at a point, again and again, and returns what it has found.
_Found = TypeVar("_Found")
_Search: TypeAlias = Generator[Float64Array, tuple[float, Float64Array], _Found]

# Armijo's and Wolfe's constants: how much of the promised descent a step must give, and of the slope it must leave.
_DESCENT, _SLOPE = 1e-4, 0.9
# Steps whose curvature is remembered.
_MEMORY = 20
# A gradient that is smaller than this is the optimum: of 1,300 pictures' logits 2e-5 from where it vanishes.
FLAT = 3e-8


def minimize(loss: LossAndGradient, start: Float64Array, *, steps: int = 500) -> Float64Array:
    """The point where `loss` is smallest, from `start`, of the same shape.

    It ends where the gradient vanishes, where float64 shows no further descent, or after `steps` steps.
    """

    def losses(_: IntArray, points: Float64Array) -> tuple[Float64Array, Float64Array]:
        value, gradient = loss(points[0])
        return np.array([value]), gradient[np.newaxis]

    return minimize_all(losses, start[np.newaxis], steps=steps)[0]


def minimize_all(
    losses: LossesAndGradients, starts: Float64Array, *, steps: int = 500, flat: float = FLAT
) -> list[Float64Array]:
    """The same for K functions, which are asked together: each from one of `starts` [K, ...].

    losses: values [L] and gradients [L, ...] of the functions with the numbers [L], at points [L, ...]. flat: the
    slope, in any direction, at which a search has arrived.
    """
    searches = [_search(start.astype(np.float64).ravel(), steps, flat) for start in starts]
    points = {number: next(search) for number, search in enumerate(searches)}
    found: dict[int, Float64Array] = {}
    while points:
        at = np.stack(list(points.values())).reshape(-1, *starts.shape[1:])
        # A step that overflows is too long: the search halves it.
        with np.errstate(over="ignore", invalid="ignore"):
            values, gradients = losses(np.array(list(points)), at)
        for number, value, gradient in zip(list(points), values.tolist(), gradients, strict=True):
            try:
                points[number] = searches[number].send((value, gradient.ravel()))
            except StopIteration as ended:
                found[number] = ended.value
                del points[number]
    return [found[number].reshape(starts.shape[1:]) for number in range(len(starts))]


def _search(point: Float64Array, steps: int, flat: float) -> _Search[Float64Array]:
    value, gradient = yield point
    pairs: collections.deque[_Pair] = collections.deque(maxlen=_MEMORY)
    for _ in range(steps):
        if np.abs(gradient).max() <= flat:
            break
        direction = _direction(gradient, pairs)
        found = yield from _search_line(point, value, gradient, direction)
        if found is None:
            break
        moved, value, slope = found
        pairs.append(_Pair.of(moved - point, slope - gradient))
        point, gradient = moved, slope
    return point


class _Pair(NamedTuple):
    """A step, by how much it changed the gradient, and the product of the two."""

    step: Float64Array
    change: Float64Array
    curvature: float

    @classmethod
    def of(cls, step: Float64Array, change: Float64Array) -> "_Pair":
        return cls(step, change, float(step @ change))


def _direction(gradient: Float64Array, pairs: collections.deque[_Pair]) -> Float64Array:
    """Minus the inverse Hessian, as the last steps and changes of the gradient show it, times the gradient."""
    if not pairs:
        return -gradient / max(1.0, float(np.linalg.norm(gradient)))
    direction, factors = -gradient, []
    for step, change, curvature in reversed(pairs):
        factors.append((step @ direction) / curvature)
        direction -= factors[-1] * change
    direction *= pairs[-1].curvature / (pairs[-1].change @ pairs[-1].change)
    for (step, change, curvature), factor in zip(pairs, reversed(factors), strict=True):
        direction += step * (factor - (change @ direction) / curvature)
    return direction


def _search_line(
    point: Float64Array, value: float, gradient: Float64Array, direction: Float64Array
) -> _Search[tuple[Float64Array, float, Float64Array] | None]:
    """A point on the line with its value and gradient that meets Wolfe's conditions; None where nothing descends.

    By bisection (Lewis and Overton 2013), which keeps the curvature positive: too far halves, too near doubles.
    """
    near, far, length = 0.0, np.inf, 1.0
    promised = float(gradient @ direction)
    for _ in range(60):
        moved = point + length * direction
        new, slope = yield moved
        if not new <= value + _DESCENT * length * promised:
            far = length
        elif slope @ direction < _SLOPE * promised:
            near = length
        else:
            return moved, new, slope
        length = (near + far) / 2 if np.isfinite(far) else 2 * length
    return None
