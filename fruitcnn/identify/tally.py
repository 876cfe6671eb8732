"""How many pictures were identified, how many not, and how fast that went."""

import collections
import time
from collections.abc import Mapping

from fruitcnn.identify.results import UNKNOWN, Identification, Rejection

IDENTIFIED, REJECTED = "identified", "rejected"


def kind_of_result(result: Identification | Rejection) -> str:
    """What has become of one picture, in a word."""
    return REJECTED if isinstance(result, Rejection) else UNKNOWN if result.is_unknown else IDENTIFIED


class Tally:
    """What has become of the pictures.

    counts: of those before, which this goes on with.
    """

    def __init__(self, counts: collections.Counter[str] | None = None) -> None:
        self._counts = collections.Counter[str]() if counts is None else counts
        self._before = self._counts.total()
        self._started = time.monotonic()

    def add(self, result: Identification | Rejection) -> None:
        """Count one."""
        self._counts[kind_of_result(result)] += 1

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Count those that were counted elsewhere, by kind."""
        self._counts.update(counts)

    @property
    def has_rejected(self) -> bool:
        """Whether any was rejected."""
        return self._counts[REJECTED] > 0

    @property
    def exceptions(self) -> str:
        """How many were not identified, as "12 unknown, 3 rejected"; "" where all were."""
        return ", ".join(f"{count:,} {kind}" for kind in (UNKNOWN, REJECTED) if (count := self._counts[kind]))

    def __str__(self) -> str:
        kinds = [f"{count:,} {kind}" for kind in (IDENTIFIED, UNKNOWN, REJECTED) if (count := self._counts[kind])]
        speed = (self._counts.total() - self._before) / max(time.monotonic() - self._started, 1e-9)
        return ", ".join([*kinds, f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"])
