"""The steps that a network is run in: which of them are needed, and whose memory is free for whom."""

from collections import Counter
from typing import Any

import torch
from keras import layers

from fruitcnn.model.activations import is_relu
from fruitcnn.model.layout import Function


class Step:
    """One operation of a program: `values[slot] = function(*values[inputs])`; then `released` are needed no more.

    layer: the Keras layer that the function stands for, where the table understands it.
    """

    def __init__(self, function: Function, inputs: list[int], slot: int) -> None:
        self.function, self.inputs, self.slot = function, inputs, slot
        self.layer: Any = None
        self.released: list[int] = []


def without_unused(steps: list[Step], outputs: list[int]) -> list[Step]:
    """The steps that lead to the outputs, each told which values nobody needs after it."""
    slots, kept = set(outputs), []
    for step in reversed(steps):
        if step.slot in slots:
            step.released = [slot for slot in set(step.inputs) if slot not in slots]
            slots.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def reuse_memory(steps: list[Step], outputs: list[int]) -> None:
    """Let a ReLU write over its input where nobody else, no gradient either, reads that: new memory costs time."""
    readers = Counter([*(slot for step in steps for slot in step.inputs), *outputs])
    writable = {step.slot for step in steps if _has_own_memory(step) and readers[step.slot] == 1}
    for step in steps:
        if is_relu(step.layer) and step.inputs[0] in writable:
            step.function = lambda x, training: torch.relu_(x)


def _has_own_memory(step: Step) -> bool:
    """Whether the result is no view of something else, and its gradient is computed without it."""
    # The sum of a single tensor is that tensor.
    return type(step.layer) is layers.BatchNormalization or (type(step.layer) is layers.Add and len(step.inputs) > 1)
