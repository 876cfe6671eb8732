"""Batch norm over the parts of a batch that lie in several processes, as over the whole of it in one.

Keras' moving statistics are parameters, not buffers, so that neither DDP's broadcasts nor torch's own synchronised
batch norm, which wants a GPU and a module of torch's, would keep them equal. The gradient is that of Ioffe and Szegedy
(2015), each of its sums taken over all processes.
"""

from typing import Any

import torch
from torch import distributed


def joint_batch_norm(
    x: torch.Tensor, gamma: torch.Tensor | None, beta: torch.Tensor | None, epsilon: float, *, unbiased_from: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x: [n, C, ...], this process's part of a batch. Returns it normalised by the whole batch's mean and biased
    variance, and these, [C] each, for the moving ones; gradients flow through the first alone.

    unbiased_from: of so many values a channel the variance that is returned is the unbiased one.
    """
    normalised: tuple[torch.Tensor, ...] = _Normalise.apply(x, epsilon)
    y, mean, variance, count = normalised
    variance = torch.where(count >= unbiased_from, variance * count / (count - 1), variance)
    if gamma is not None:
        y = y * _per_channel(gamma, y)
    if beta is not None:
        y = y + _per_channel(beta, y)
    return y, mean, variance


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, ...]:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        wide = x if x.dtype == torch.float64 else x.float()
        sums = torch.cat([wide.sum(axes), wide.new_tensor([x.numel() / x.shape[1]])])
        distributed.all_reduce(sums)
        count, mean = sums[-1], sums[:-1] / sums[-1]
        # Of the centred values: the mean of squares less the square of the mean loses all digits of a small one.
        centred = wide - _per_channel(mean, wide)
        squares = centred.square().sum(axes)
        distributed.all_reduce(squares)
        variance = squares / count
        scale = (variance + epsilon).rsqrt()
        y = centred * _per_channel(scale, centred)
        ctx.save_for_backward(y.to(x.dtype) if y.dtype != x.dtype else y, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (y, scale, count), given = ctx.saved_tensors, gradients[0]
        axes = [axis for axis in range(y.dim()) if axis != 1]
        wide = given if given.dtype == torch.float64 else given.float()
        sums = torch.stack([wide.sum(axes), (wide * y).sum(axes)])
        distributed.all_reduce(sums)
        mean, along = (_per_channel(one / count, wide) for one in sums)
        return ((wide - mean - y * along) * _per_channel(scale, wide)).to(given.dtype), None


def _per_channel(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, *([1] * (x.dim() - 2)))
