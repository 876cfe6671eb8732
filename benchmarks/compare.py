"""How every benchmark here compares two contestants: in turn, then by the ratio of medians.

It imports nothing large: see identify_cold.py.
"""

import statistics
from collections.abc import Callable


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Measure one, the other, one, ...: a change in the load of the machine then meets both alike."""
    results = [(ours(), theirs()) for _ in range(rounds)]
    return [result[0] for result in results], [result[1] for result in results]


def show_ratio(names: tuple[str, str], ours: list[float], theirs: list[float], *, unit: str, bar: str) -> None:
    """Print medians and quartiles of both and of the rounds' ratios, and the ratio of the medians beside its bar."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    for name, values in zip(names, (ours, theirs), strict=True):
        print(f"{name:<24} {statistics.median(values):10.3f} {unit} ({_quartiles(values)}, {len(values)} rounds)")
    by_round = [our / their for our, their in zip(ours, theirs, strict=True)]
    print(f"{'ratio':<24} {ratio:10.3f} (bar: {bar}; of single rounds: {_quartiles(by_round)})")


def _quartiles(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"quartiles {low:.3f} to {high:.3f}"
