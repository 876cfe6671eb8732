"""The smallest value of a smooth convex function: L-BFGS (Nocedal 1980) in float64."""

import collections
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
# A value and its gradient, of the shape of the point.
LossAndGradient = Callable[[Float64Array], tuple[float, Float64Array]]

# Armijo's and Wolfe's constants: how much of the promised descent a step must give, and of the slope it must leave.
_DESCENT, _SLOPE = 1e-4, 0.9
# Steps whose curvature is remembered.
_MEMORY = 20
# A gradient that is smaller than this is the optimum: of 1,300 pictures' logits 2e-5 from where it vanishes.
_FLAT = 3e-8


def minimize(loss: LossAndGradient, start: Float64Array, *, steps: int = 500) -> Float64Array:
    """The point where `loss` is smallest, from `start`, of the same shape.

    It ends where the gradient vanishes, where float64 shows no further descent, or after `steps` steps.
    """
    point = start.astype(np.float64).ravel()

    def flat(at: Float64Array) -> tuple[float, Float64Array]:
        # A step that overflows is too long: the search halves it.
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = loss(at.reshape(start.shape))
        return value, gradient.ravel()

    value, gradient = flat(point)
    pairs: collections.deque[tuple[Float64Array, Float64Array]] = collections.deque(maxlen=_MEMORY)
    for _ in range(steps):
        if np.abs(gradient).max() <= _FLAT:
            break
        direction = _direction(gradient, pairs)
        found = _search_line(flat, point, value, gradient, direction)
        if found is None:
            break
        moved, value, slope = found
        pairs.append((moved - point, slope - gradient))
        point, gradient = moved, slope
    return point.reshape(start.shape)


def _direction(gradient: Float64Array, pairs: collections.deque[tuple[Float64Array, Float64Array]]) -> Float64Array:
    """Minus the inverse Hessian, as the last steps and changes of the gradient show it, times the gradient."""
    if not pairs:
        return -gradient / max(1.0, float(np.linalg.norm(gradient)))
    direction, factors = -gradient, []
    for step, change in reversed(pairs):
        factors.append((step @ direction) / (step @ change))
        direction = direction - factors[-1] * change
    step, change = pairs[-1]
    direction = direction * ((step @ change) / (change @ change))
    for (step, change), factor in zip(pairs, reversed(factors), strict=True):
        direction = direction + step * (factor - (change @ direction) / (step @ change))
    return direction


def _search_line(
    loss: LossAndGradient, point: Float64Array, value: float, gradient: Float64Array, direction: Float64Array
) -> tuple[Float64Array, float, Float64Array] | None:
    """A point on the line with its value and gradient that meets Wolfe's conditions; None where nothing descends.

    By bisection (Lewis and Overton 2013), which keeps the curvature positive: too far halves, too near doubles.
    """
    near, far, length = 0.0, np.inf, 1.0
    promised = float(gradient @ direction)
    for _ in range(60):
        moved = point + length * direction
        new, slope = loss(moved)
        if not new <= value + _DESCENT * length * promised:
            far = length
        elif slope @ direction < _SLOPE * promised:
            near = length
        else:
            return moved, new, slope
        length = (near + far) / 2 if np.isfinite(far) else 2 * length
    return None
