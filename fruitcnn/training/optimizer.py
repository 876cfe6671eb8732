"""Which weights decay, and how the learning rate moves."""

import math
from collections.abc import Iterable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from fruitcnn.config import TrainConfig


def build_optimizer(
    trainable: Iterable[torch.Tensor], config: TrainConfig, *, depths: Iterable[int] | None = None
) -> torch.optim.Optimizer:
    """Adam or AdamW (Loshchilov and Hutter 2019). Weight decay is for kernels, not for biases and batch norm.

    depths: how many blocks lie between each tensor and the network's end; the rate falls by config.layer_decay a block
    (Howard and Ruder 2018). Default: all are at the end.
    """
    trainable = list(trainable)
    far = [0] * len(trainable) if depths is None or config.layer_decay == 1 else list(depths)
    groups: dict[tuple[int, bool], list[torch.Tensor]] = {}
    for value, depth in zip(trainable, far, strict=True):
        groups.setdefault((depth, value.ndim > 1), []).append(value)
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.optimizer](
        [
            {
                "params": values,
                "weight_decay": config.weight_decay if is_kernel else 0.0,
                "lr": config.learning_rate * config.layer_decay**depth,
            }
            for (depth, is_kernel), values in sorted(groups.items(), key=lambda item: (item[0][0], not item[0][1]))
        ],
        lr=config.learning_rate,
        eps=1e-7,  # Keras' own
    )


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, *, steps: int) -> LRScheduler:
    """The learning rate of each of `steps` optimizer steps: to be moved on after every one."""
    if config.schedule == "one_cycle":
        # Smith and Topin 2017. Adam's momentum stays: cycling it brings nothing here. The rise has to take two steps
        # at least and the fall one, or torch divides by their length.
        steps, rates = max(3, steps), [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer,
            [config.learning_rate * rate / max(rates) for rate in rates],
            total_steps=steps,
            pct_start=max(0.2, 2 / steps),
            cycle_momentum=False,
        )
    if config.schedule == "cosine":
        # Loshchilov and Hutter 2017, after a linear rise.
        rise = config.warmup * steps
        return LambdaLR(
            optimizer, lambda step: min(1.0, (step + 1) / max(1.0, rise)) * (1 + math.cos(math.pi * step / steps)) / 2
        )
    decay = config.learning_rate / config.epochs
    return LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
