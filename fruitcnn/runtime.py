"""onnxruntime: opening a network on the CPU, asking it, and the layout and the batches that it takes."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fruitcnn.arrays import Float32Array
from fruitcnn.card import INPUT
from fruitcnn.errors import ModelError
from fruitcnn.image import Pixels
from fruitcnn.onnx_file import OnnxFile

# Numbers, and names for what may be of any size.
Shape = list[Any]
# Numbers of the pictures that are in a network at once, at its size: 16 pictures of 512 pixels, one of 2,048.
_NUMBERS = 16 * 512 * 512 * 3
# What mallopt(3) calls the size from which on glibc asks the system for a block of its own.
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK = 1 << 18


class Session:
    """A network in onnxruntime, in float32 on the CPU. Safe to share between threads."""

    def __init__(self, model: OnnxFile | bytes, *, once: bool = False, threads: int = 0) -> None:
        """Open a file that was checked, or a graph of our own as bytes. Raises ModelError.

        once: it will be asked once. The weights are then left as they lie in the file, which takes half the time and 25
        MB less; laid out for the processor the network runs twice as fast. Nor is memory kept for a next time.
        threads: at most so many for one question; 0 is one for each core.
        """
        self.file = model.path if isinstance(model, OnnxFile) else Path("graph")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Idle threads must not spin for a question that never comes, or while others decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What fails is raised, and said once: onnxruntime would print its own line before it.
        options.log_severity_level = 4
        if once:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.enable_cpu_mem_arena = False
        source = str(model.path) if isinstance(model, OnnxFile) else model
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _failure("not a usable ONNX model", error, self.file) from error
        self.inputs: dict[str, Shape] = {item.name: item.shape for item in self._session.get_inputs()}
        self.outputs: dict[str, Shape] = {item.name: item.shape for item in self._session.get_outputs()}

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """These outputs of the network to these inputs. Raises ModelError."""
        try:
            results: list[NDArray[Any]] = self._session.run(list(names), dict(feeds))
        except Exception as error:
            raise _failure("can't be run", error, self.file) from error
        return results

    def answers(self, names: Sequence[str], pixels: Pixels) -> list[Float32Array]:
        """These outputs of a network with the card's input to uint8 pixels [N, S, S, 3]. Raises ModelError."""
        return self.run(names, {INPUT: network_input(pixels)})


def network_input(pixels: Pixels) -> Float32Array:
    """Pixels [N, S, S, 3] as the networks take them: float32 [N, 3, S, S], 0..255."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)


def most_at_once(size: int) -> int:
    """How many pictures of a size may be in a network at once, which bounds its memory."""
    return max(1, _NUMBERS // (3 * size**2))


def shared_out(threads: int, size: int, *, batch: int = 1) -> tuple[int, int]:
    """Into how many batches of pictures of a size, answered at once, threads are shared out; and how many each has."""
    at_once = max(1, min(threads, most_at_once(size) // batch))
    return at_once, threads // at_once


def give_freed_memory_back() -> None:
    """From now on the system gets each large block back that this process frees; without glibc nothing changes.

    glibc would keep them for a next time. Where there is none that is 5 MB less for 2 % more time.
    """
    with contextlib.suppress(ImportError, OSError, TypeError, AttributeError):
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


class _Rows(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> Pixels: ...


def batches(rows: _Rows, size: int) -> Iterator[Pixels]:
    """Rows of pictures, `size` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _failure(problem: str, error: Exception, file: Path) -> Exception:
    """What to raise for what onnxruntime raised: a dozen unrelated types, and a lack of memory is only a text."""
    if "alloc" in str(error):
        return MemoryError()
    return ModelError(f"{problem} ({error})", value=file, remedy="export it again")
