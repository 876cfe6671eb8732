"""Several processes that train one network, each on its part of every batch, under `torchrun`.

The first one claims the folder, scans, writes, calibrates and exports; the others are there for the epochs. What is
said between them here goes over gloo, on the host, whatever the gradients take.
"""

import contextlib
import datetime
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import distributed

from fruitcnn.errors import ConfigError, FruitcnnError, UsageError
from fruitcnn.ranks import ranks

# The others wait while the first one scans: with millions of pictures that takes hours.
_PATIENCE = datetime.timedelta(days=7)
_are_joined = False


class LostProcessError(FruitcnnError):
    """Another process of the training has ended."""

    def __init__(self, value: object) -> None:
        remedy = "see what torchrun says of it; go on with the same command and --resume"
        super().__init__("another process of this training has ended", value=value, remedy=remedy)


@contextlib.contextmanager
def _joined() -> Iterator[None]:
    global _are_joined
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    _are_joined = True
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def claimed_by_first(claim: AbstractContextManager[Path]) -> Iterator[Path]:
    """The folder that the first process claims, in each of them; within, they know each other.

    Raises what claiming raises, and LostProcessError.
    """
    with _joined():
        if not ranks().is_first:
            yield Path(_told(None))
            return
        with claim as folder:
            _told(str(folder))
            yield folder


def _told(text: str | None) -> str:
    """What the first process says, in each of them."""
    said = [text]
    with _lost("torchrun"):
        distributed.broadcast_object_list(said)
    return str(said[0])


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
    """What is within is done by the first process, then by the others, who find in the cache what it has left."""
    if ranks().is_first:
        yield
    with _lost("torchrun"):
        distributed.barrier()
    if not ranks().is_first:
        yield


def check_same(facts: object, what: str) -> None:
    """Raise FruitcnnError where another process knows other facts."""
    found: list[object] = [None] * ranks().count
    with _lost("torchrun"):
        distributed.all_gather_object(found, hashlib.sha256(repr(facts).encode()).hexdigest())
    if len(set(found)) > 1:
        problem = f"the processes have found different {what}"
        raise FruitcnnError(problem, value="torchrun", remedy="give each machine the same files")


def largest(number: int) -> int:
    """The largest of the numbers that the processes call this with."""
    if ranks().count == 1:
        return number
    found = torch.tensor([number])
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


@contextlib.contextmanager
def _lost(value: object) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_loss(error):
            raise LostProcessError(value) from error
        raise


def is_told_by_first(error: BaseException) -> bool:
    """Whether the first process meets the same error, so that the others need not tell it."""
    everywhere = isinstance(error, LostProcessError | UsageError | ConfigError)
    return not _are_joined or everywhere or getattr(error, "exit_code", 0) > 128  # a signal reaches all


def is_loss(error: BaseException) -> bool:
    """Whether an error says that another process can't be reached any more."""
    return ranks().count > 1 and (isinstance(error, distributed.DistError) or "gloo" in str(error).lower())
