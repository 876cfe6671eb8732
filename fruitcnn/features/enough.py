"""The whole of `fruitcnn dataset enough`: how much more pictures would help, and of which class."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fruitcnn import cells
from fruitcnn.arrays import FloatArray
from fruitcnn.calibration.fold_heads import PENALTY
from fruitcnn.calibration.learning_curve import REACH, Forecast, LearningCurve, measure_curve
from fruitcnn.config import HeadConfig, load_config
from fruitcnn.dataset.records import group_numbers
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import DatasetError
from fruitcnn.features.backbone import shipped_backbone
from fruitcnn.features.extractor import Extractor
from fruitcnn.recipes import DEFAULT
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# Forecasts from fewer pictures, or fewer mistakes, were wrong as often as right.
FEWEST, FEWEST_MISTAKES = 200, 5
_TIMES = (1, 2, REACH)


@dataclasses.dataclass(frozen=True)
class Enough:
    """What is known of a set.

    count: its pictures. curve: its measured learning curve. overall: forecasts of the error with as many pictures as
    there are, twice and three times as many; by_label: the same of each class that has mistakes enough. Both are empty
    where there are too few pictures to say.
    """

    labels: list[str]
    count: int
    curve: LearningCurve
    overall: list[Forecast]
    by_label: dict[str, list[Forecast]]

    @classmethod
    def of(cls, labels: list[str], curve: LearningCurve) -> "Enough":
        """Make the forecasts."""
        count = len(curve.targets)
        pictures: FloatArray = count * np.array(_TIMES, np.float64)
        known = count >= FEWEST and curve.mistakes() >= FEWEST_MISTAKES
        by_label = {
            label: curve.forecasts(pictures, number)
            for number, label in enumerate(labels)
            if known and curve.mistakes(number) >= FEWEST_MISTAKES
        }
        return cls(labels, count, curve, curve.forecasts(pictures) if known else [], by_label)

    @property
    def reason(self) -> str:
        """Why there is no forecast; "" where there is one."""
        if self.overall:
            return ""
        if self.count < FEWEST:
            return f"of {self.count:,} pictures no forecast can be made: of fewer than {FEWEST} it would be a guess"
        few = counted(self.curve.mistakes(), "picture", "pictures")
        most = f"{self.curve.sizes[-1]:,} of them"
        return f"what had learned from {most} was wrong on {few} alone: too few to see how their number falls"

    @property
    def most_helped(self) -> str:
        """The class whose error would fall most with twice the pictures; "" where that is not known."""
        gains = {label: found[0].value - found[1].value for label, found in self.by_label.items()}
        return max(gains, key=gains.__getitem__) if gains else ""


def enough(data: Path) -> Enough:
    """Measure the learning curve of the recipe `features` on a folder or CSV. Raises DatasetError."""
    config = load_config(DEFAULT, data=data)
    size, head = config.data.size, config.head or HeadConfig()
    dataset = scan(data, sizes=[size])
    pictures = dataset.pictures
    few = [label for label in dataset.labels if sum(record.label == label for record in pictures) < 5]
    if few:
        problem = f"fewer than five pictures of {', '.join(few[:5])}"
        raise DatasetError(problem, value=data, remedy="add more: parts of so few say nothing")
    extractor = Extractor(shipped_backbone(size))
    features = extractor.features(dataset.rows(pictures, size))
    targets = np.array([dataset.labels.index(record.label) for record in pictures])
    groups = group_numbers(pictures)
    curve = measure_curve(
        features, targets, groups, classes=len(dataset.labels), penalty=head.penalty or PENALTY, seed=config.seed
    )
    return Enough.of(dataset.labels, curve)


def describe(found: Enough) -> Iterator[str]:
    """The lines for people."""
    yield f"{found.count:,} pictures of {len(found.labels)} classes"
    yield f"  {'learned from':>12}  wrong answers to the others"
    yield from (
        f"  {size:>12,}  {error:6.1%}"
        for size, error in zip(found.curve.sizes.tolist(), found.curve.errors().tolist(), strict=True)
    )
    if found.reason:
        yield found.reason
        return
    yield "forecast, with the range that four of five such forecasts keep:"
    yield from (
        f"  {times * found.count:>12,}  {_shown(one)}{'' if times > 1 else '  as many as there are'}"
        for times, one in zip(_TIMES, found.overall, strict=True)
    )
    yield f"  of more than {REACH * found.count:,} nobody knows: beyond {REACH} times the pictures such forecasts fail"
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
