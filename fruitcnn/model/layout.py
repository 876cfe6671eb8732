"""What building a layer's function needs to know of the tensors that it meets."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

Function = Callable[..., torch.Tensor]


@dataclasses.dataclass(frozen=True)
class InputLayout:
    """How the inputs of one call lie. shapes: theirs, in Keras' order; nchw: whether they come as NCHW."""

    shapes: list[tuple[int | None, ...]]
    nchw: bool

    @property
    def channels(self) -> int:
        """The dimension of the channels, Keras' last one."""
        return 1 if self.nchw else len(self.shapes[0]) - 1

    def dimension(self, axis: int) -> int:
        """Where Keras' axis lies here."""
        axis %= len(self.shapes[0])
        return (0, 2, 3, 1)[axis] if self.nchw else axis


# From a layer and the layout of its inputs to the function that computes it; None where it is not understood.
Builder = Callable[[Any, InputLayout], Function | None]


def parameter_of(variable: Any) -> torch.Tensor:
    """A Keras variable's own torch Parameter."""
    value: torch.Tensor = variable.value
    return value
