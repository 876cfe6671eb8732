"""A few pictures with the trained model's logits, kept with a checkpoint: what every exported file is compared with."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fruitcnn.dataset.store import PixelRows
from fruitcnn.device import on_cpu
from fruitcnn.errors import ModelError
from fruitcnn.export.drawing import draw_squares
from fruitcnn.image import Pixels
from fruitcnn.model import TorchForward, keras

PICTURES = 64


@dataclasses.dataclass(frozen=True)
class Reference:
    """pixels: uint8 [N, S, S, 3]; logits: the trained model's, float32 [N, C], calibrated (softmax gives the answer).

    labels: of the columns, in their order.
    """

    labels: tuple[str, ...]
    pixels: Pixels
    logits: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write as a compressed .npz, into a file that is there, of `labels`, `pixels` and `logits`."""
        np.savez_compressed(path, labels=np.array(self.labels), pixels=self.pixels, logits=self.logits)

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Read what `save` wrote. Raises ModelError for what is no such file."""
        try:
            # Opened here, because numpy leaves a file open that is none of its own.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                labels, pixels, logits = arrays["labels"], arrays["pixels"], arrays["logits"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"can't be read ({error})", value=path, remedy="train again") from error
        fitting = pixels.ndim == 4 and len(pixels) and pixels.shape[1:] == (pixels.shape[1], pixels.shape[1], 3)
        if not fitting or pixels.dtype != np.uint8 or logits.shape != (len(pixels), len(labels)):
            shapes = f"{pixels.dtype} {pixels.shape}, {logits.shape}, {labels.shape}"
            raise ModelError(f"holds no reference pictures ({shapes})", value=path, remedy="train again")
        return cls(tuple(map(str, labels)), pixels, logits.astype(np.float32))


def measure_reference(
    model: keras.Model, labels: list[str], rows: PixelRows | Pixels | None, *, size: int, temperature: float
) -> Reference:
    """The reference of a trained network, from pixels to logits, on the CPU and in float32.

    rows: pictures uint8 [M, S, S, 3], of which up to 64 are taken, evenly spaced; None: drawn ones. size: S.
    temperature: what the logits are divided by.
    """
    if rows is None:
        pixels = draw_squares(size, PICTURES)
    else:
        pixels = rows[np.linspace(0, len(rows) - 1, min(PICTURES, len(rows))).astype(int)]
    with on_cpu(), torch.no_grad():
        net = TorchForward(model).eval()
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()  # [N, 3, S, S]
        logits = net(image.contiguous(memory_format=torch.channels_last)) / temperature
    return Reference(tuple(labels), pixels, logits.numpy())
