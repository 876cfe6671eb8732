"""How much more pictures would help, and of which class: what a learning curve says of a set, and to people."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from fruitcnn import cells
from fruitcnn.arrays import FloatArray
from fruitcnn.calibration.learning_curve import REACH, Forecast, LearningCurve
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# Forecasts from fewer pictures, or fewer mistakes, were wrong as often as right.
FEWEST, FEWEST_MISTAKES = 200, 5
# Of an error, below which nobody sees one in a tenth of a percent.
_LEAST_GAIN = 0.0005
# How many times as many pictures as there are forecasts are made of.
TIMES = (1, 2, REACH)


@dataclasses.dataclass(frozen=True)
class Enough:
    """How much more pictures would help, as `fruitcnn dataset enough` measures it.

    Attributes:
        labels: The labels of the set.
        count: The number of its pictures.
        curve: Its measured learning curve.
        overall: Forecasts of the error with as many pictures as there are, with twice and with three times as many.
            Empty where there are too few pictures to say.
        by_label: The same for each class that has enough mistakes to say.
    """

    labels: list[str]
    count: int
    curve: LearningCurve
    overall: list[Forecast]
    by_label: dict[str, list[Forecast]]

    @classmethod
    def of(cls, labels: list[str], curve: LearningCurve) -> "Enough":
        """Make the forecasts.

        Args:
            labels: The labels of the set.
            curve: Its measured learning curve.
        """
        count = len(curve.targets)
        pictures: FloatArray = count * np.array(TIMES, np.float64)
        if count < FEWEST or curve.mistakes() < FEWEST_MISTAKES:
            return cls(labels, count, curve, [], {})
        numbers = [number for number in range(len(labels)) if curve.mistakes(number) >= FEWEST_MISTAKES]
        overall, *others = curve.forecasts(pictures, [None, *numbers])
        by_label = {labels[number]: found for number, found in zip(numbers, others, strict=True)}
        return cls(labels, count, curve, overall, by_label)

    @property
    def measured(self) -> list[tuple[int, float]]:
        """Pairs of the number of pictures that were learned from and the error on the others, 0 to 1."""
        return list(zip(self.curve.sizes.tolist(), self.curve.errors().tolist(), strict=True))

    @property
    def reason(self) -> str:
        """Why there is no forecast. Empty where there is one."""
        if self.overall:
            return ""
        if self.count < FEWEST:
            return f"of {self.count:,} pictures no forecast can be made: of fewer than {FEWEST} it would be a guess"
        few = counted(self.curve.mistakes(), "picture", "pictures")
        most = f"{self.curve.sizes[-1]:,} of them"
        return f"what had learned from {most} was wrong on {few} alone: too few to see how their number falls"

    @property
    def limit(self) -> str:
        """Up to how many pictures the forecast reaches, and why no further."""
        return (
            f"of more than {REACH * self.count:,} nobody knows: such forecasts fail beyond {REACH} times the pictures"
        )

    @property
    def most_helped(self) -> str:
        """The class whose error would fall most with twice the pictures. Empty where there is none."""
        gains = {label: found[0].value - found[1].value for label, found in self.by_label.items()}
        most = max(gains, key=gains.__getitem__, default="")
        return most if most and gains[most] >= _LEAST_GAIN else ""


def describe(found: Enough) -> Iterator[str]:
    """The lines for people."""
    yield f"{found.count:,} pictures of {len(found.labels)} classes"
    yield f"  {'learned from':>12}  wrong answers to the others"
    yield from (f"  {size:>12,}  {error:6.1%}" for size, error in found.measured)
    if found.reason:
        yield found.reason
        return
    yield "forecast, with the range that four of five such forecasts keep:"
    yield from (
        f"  {times * found.count:>12,}  {_shown(one)}{'' if times > 1 else '  as many as there are'}"
        for times, one in zip(TIMES, found.overall, strict=True)
    )
    yield f"  {found.limit}"
    yield "by class, now and with twice the pictures:"
    width = max(cells.width(printable(label)) for label in found.labels)
    for label in found.labels:
        of_it = found.by_label.get(label)
        yield f"  {cells.padded(printable(label), width)}  " + (
            f"{_shown(of_it[0])}  ->  {_shown(of_it[1])}" if of_it else "too few mistakes to say"
        )
    if found.most_helped:
        yield f"more pictures would help {found.most_helped} most"


def _shown(one: Forecast) -> str:
    return f"{one.value:6.1%} ({one.low:.1%} to {one.high:.1%})"
