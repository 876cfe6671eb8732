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
    """Print the median and the quartiles of both, and the ratio of the medians beside the bar it is held to."""
    for name, values in zip(names, (ours, theirs), strict=True):
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        print(f"{name:<24} {middle:10.3f} {unit} (quartiles {low:.3f} to {high:.3f}, {len(values)} rounds)")
    print(f"{'ratio':<24} {statistics.median(ours) / statistics.median(theirs):10.3f} (bar: {bar})")
