"""A share of the parts, worked off by this process alone: what starts many of them is the engine."""

import dataclasses
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fruitcnn.cluster.parts import Counts, Job
from fruitcnn.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Share:
    """Part `number` (from 1) of `of` alike: every so many-th part of the list."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Share":
        """As `3/8`. Raises UsageError."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        share = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= share.number <= share.of:
            raise UsageError("is no share", value=text, remedy="give K/N, K from 1 to N, as --part 3/8")
        return share

    def has(self, low: int, per_part: int) -> bool:
        """Whether the part that begins at a name belongs to it."""
        return low // per_part % self.of == self.number - 1


def write_share(folder: Path, ranges: list[tuple[int, int]], *, threads: int, watch: Callable[[Counts], None]) -> None:
    """Write the parts of these ranges of names; those that another process is at come last. Raises OSError.

    threads: so many parts are at work at once (0: one for each core), which leaves no core idle between two steps of
    one; where there are fewer parts, each has several. watch: is told of each row, and of whole parts of others.
    """
    threads = threads or os.cpu_count() or 1
    at_once = max(1, min(threads, len(ranges)))
    job = Job(folder, threads=max(1, threads // at_once))
    guard, failed = threading.Lock(), threading.Event()
    remaining, others = iter(ranges), list[tuple[int, int]]()

    def told(counts: Counts) -> None:
        with guard:
            watch(counts)
        if failed.is_set():
            raise _StoppedError

    def work() -> None:
        while not failed.is_set():
            with guard:
                one = next(remaining, None)
            if one is None:
                return
            try:
                if job.write_part(*one, watch=told) is None:
                    others.append(one)
            except BaseException:
                failed.set()
                raise

    with ThreadPoolExecutor(at_once) as pool:
        workers = [pool.submit(work) for _ in range(at_once)]
    _raise_first([error for worker in workers if (error := worker.exception()) is not None])
    for low, high in others:
        # Whoever was at it is done by now, or has died, or is slow: the first that is there stays.
        job.write_part(low, high, insist=True, watch=watch)


class _StoppedError(Exception):
    """Another part has failed: what is at work is given up."""


def _raise_first(errors: list[BaseException]) -> None:
    """Raise what ended the work, not what was given up for it."""
    for error in sorted(errors, key=lambda error: isinstance(error, _StoppedError)):
        raise error
