"""A share of the parts, worked off by this process alone: what starts many of them is the engine."""

import dataclasses
import re
from collections.abc import Callable, Iterator
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


def write_share(
    folder: Path, ranges: Iterator[tuple[int, int]], *, threads: int, watch: Callable[[Counts], None]
) -> None:
    """Write the parts of these ranges of names; those that another process is at come last. Raises OSError.

    watch: is told of each row, and of whole parts that another process wrote.
    """
    job = Job(folder, threads=threads)
    others: list[tuple[int, int]] = []
    for low, high in ranges:
        if job.write_part(low, high, watch=watch) is None:
            others.append((low, high))
    for low, high in others:
        # Whoever was at it is done by now, or has died, or is slow: the first that is there stays.
        job.write_part(low, high, insist=True, watch=watch)
