"""Which of several processes this is, where `torchrun` has started one training more than once."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Ranks:
    """rank: of this process among `count`; local: among the `local_count` of its machine, whose GPU of that number it
    takes."""

    rank: int = 0
    count: int = 1
    local: int = 0
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that claims, scans, writes and speaks."""
        return self.rank == 0

    def part(self, whole: int) -> slice:
        """Which rows of a batch of so many are this process's: as many as each other's, or one more."""
        share, more = divmod(whole, self.count)
        start = self.rank * share + min(self.rank, more)
        return slice(start, start + share + (self.rank < more))


def ranks() -> Ranks:
    """As torchrun says in the environment; one of one in a process that it has not started."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Ranks(*(int(os.environ[name]) for name in names))
