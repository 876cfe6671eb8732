"""A few pictures with the trained model's logits, kept with a checkpoint: what every exported file is compared with."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import ModelError, system_error
from fruitcnn.export.drawing import draw_squares
from fruitcnn.image import Pixels
from fruitcnn.npz import read_array
from fruitcnn.regular_files import open_regular

PICTURES = 64
# Most bytes of labels, and of logits: a hundred thousand classes.
_SMALL = 64 << 20


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
    def load(cls, path: Path, *, size: int) -> "Reference":
        """Read what `save` wrote. size: S, by the card. Raises ModelError for what is no such file, or larger than it.

        How large its arrays are is read from their heads: megabytes can unpack to gigabytes.
        """
        limits = {"labels": _SMALL, "pixels": PICTURES * size * size * 3, "logits": _SMALL}
        try:
            with open_regular(path) as file, zipfile.ZipFile(file) as archive:
                labels, pixels, logits = (read_array(archive, name, most) for name, most in limits.items())
            found = cls(tuple(map(str, labels)), pixels, logits.astype(np.float32))
        except OSError as error:
            raise system_error(error, ModelError, value=path) from error
        except MemoryError:
            raise
        except Exception as error:
            # zipfile and numpy raise what their many fields make them raise.
            raise ModelError(f"can't be read ({error})", value=path, remedy="restore it, or train again") from error
        fitting = pixels.ndim == 4 and len(pixels) and pixels.shape[1:] == (pixels.shape[1], pixels.shape[1], 3)
        kinds = (labels.dtype.kind, pixels.dtype.name, logits.dtype.kind)
        if not fitting or kinds != ("U", "uint8", "f") or logits.shape != (len(pixels), len(labels)):
            arrays = ", ".join(f"{array.dtype} {array.shape}" for array in (labels, pixels, logits))
            problem = f"holds no labels, pictures and logits ({arrays})"
            raise ModelError(problem, value=path, remedy="restore it, or train again")
        if not np.isfinite(found.logits).all():
            raise ModelError("holds logits that are no numbers", value=path, remedy="restore it, or train again")
        return found


def measure_reference(
    logits: Callable[[Pixels], Float32Array], labels: list[str], rows: PixelRows | Pixels | None, *, size: int
) -> Reference:
    """The reference of a trained network.

    logits: its calibrated logits [N, C] of uint8 pixels [N, S, S, 3], in float32. rows: pictures uint8 [M, S, S, 3], of
    which up to 64 are taken, evenly spaced; None: drawn ones. size: S.
    """
    if rows is None:
        pixels = draw_squares(size, PICTURES)
    else:
        pixels = rows[np.linspace(0, len(rows) - 1, min(PICTURES, len(rows))).astype(int)]
    return Reference(tuple(labels), pixels, logits(pixels))
