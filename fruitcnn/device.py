"""The one device policy of the heavy world.

A network is made on the CPU and lies there; its epochs alone run where the user said, and Lightning moves it there and
back. What is compared, calibrated or exported so runs in float32 on the CPU, whatever GPU the host has: on a GPU
convolutions are rounded to TF32's ten bits, which is a hundred times what the export allows. Keras, which would move
every tensor to a device of its own choice, is given no choice.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fruitcnn.errors import UsageError
from fruitcnn.ranks import ranks

if TYPE_CHECKING:
    import torch


def settle_keras() -> None:
    """Settle Keras' backend and its own device, before it is imported for the first time.

    Raises UsageError where it was imported already, with another backend: it can't be changed any more. What only the
    environment says, and no import has fixed, gives way.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        os.environ["KERAS_BACKEND"] = "torch"
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    elif keras.config.backend() != "torch":
        raise UsageError(
            f"Keras was imported with its {keras.config.backend()} backend, fruitcnn needs torch",
            value="KERAS_BACKEND",
            remedy="set KERAS_BACKEND=torch before the first import of keras, or use a process of its own",
        )


def training_device(wanted: str) -> "torch.device":
    """Where to train. wanted: auto, cpu or gpu. Raises UsageError where the GPU is wanted and there is none."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "gpu" and not available:
        raise UsageError("no GPU that torch can use", value="--device gpu", remedy="use --device cpu, or auto")
    if not available or wanted == "cpu":
        return torch.device("cpu")
    here = ranks()
    return torch.device("cuda", here.local) if here.count > 1 else torch.device("cuda")


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """For everything that is compared, calibrated or exported: Keras on the CPU, in float32."""
    import keras
    import torch

    with keras.device("cpu"), torch.autocast("cpu", enabled=False):
        yield
