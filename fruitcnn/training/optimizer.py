"""Which weights decay, and how the learning rate moves."""

from collections.abc import Iterable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from fruitcnn.config import TrainConfig


def build_optimizer(trainable: Iterable[torch.Tensor], config: TrainConfig) -> torch.optim.Optimizer:
    """Adam or AdamW (Loshchilov and Hutter 2019). Weight decay is for kernels, not for biases and batch norm."""
    trainable = list(trainable)
    kernels = [value for value in trainable if value.ndim > 1]
    others = [value for value in trainable if value.ndim <= 1]
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.optimizer](
        [{"params": kernels, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate,
        eps=1e-7,  # Keras' own
    )


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, *, steps: int) -> LRScheduler:
    """The learning rate of each of `steps` optimizer steps: to be moved on after every one."""
    if config.schedule == "one_cycle":
        # Smith and Topin 2017. Adam's momentum stays: cycling it brings nothing here. The rise has to take two steps
        # at least and the fall one, or torch divides by their length.
        steps = max(3, steps)
        return OneCycleLR(
            optimizer,
            config.learning_rate,
            total_steps=steps,
            pct_start=max(0.2, 2 / steps),
            cycle_momentum=False,
        )
    decay = config.learning_rate / config.epochs
    return LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
