"""Training, calibration, validation: stratified, seeded, and no picture's near-duplicate on the other side."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.records import CALIBRATION, TRAIN, VALIDATION, Record
from fruitcnn.errors import DatasetError

# Fewer pictures say too little about a temperature, and nothing about the least familiar twentieth.
FEWEST_TO_CALIBRATE = 50


@dataclasses.dataclass(frozen=True)
class SplitRules:
    """How a set is split that is not split already: the share for validation, that of the rest to calibrate on."""

    validation: float = 0.15
    calibration: float = 0.0
    seed: int = 0


def split_pictures(data: Path, pictures: list[Record], groups: NDArray[np.int64], rules: SplitRules) -> list[str]:
    """The split of each of N pictures: the one that the data set names, or one of fruitcnn's making.

    data: what errors name; groups: int [N], equal for pictures that must stay on one side. Raises DatasetError.
    """
    split = [record.split or TRAIN for record in pictures]
    if VALIDATION not in split:
        # What the data set itself calls test stays out of both.
        free = np.flatnonzero([name == TRAIN for name in split])
        labels = [pictures[index].label for index in free]
        made = assign_split(labels, groups[free], share=rules.validation, seed=rules.seed)
        for index, name in zip(free, made, strict=True):
            split[index] = name
    for name in (TRAIN, VALIDATION):
        present = {record.label for record, side in zip(pictures, split, strict=True) if side == name}
        missing = {record.label for record in pictures} - present
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    return split


def set_aside(labels: list[str], groups: NDArray[np.int64], split: list[str], rules: SplitRules) -> list[str]:
    """The split with a share of the training pictures to calibrate on, where that is enough of them."""
    training = np.flatnonzero(np.array(split) == TRAIN)
    if round(rules.calibration * len(training)) < FEWEST_TO_CALIBRATE:
        return split
    kept = [labels[index] for index in training]
    names = assign_split(kept, groups[training], share=rules.calibration, seed=rules.seed, name=CALIBRATION)
    now = dict(zip(training.tolist(), names, strict=True))
    return [now.get(index, name) for index, name in enumerate(split)]


def assign_split(
    labels: list[str], groups: NDArray[np.int64], *, share: float, seed: int, name: str = VALIDATION
) -> list[str]:
    """Give whole groups to the split `name` until it has its share of each class; the rest is for training.

    labels: of N pictures; groups: int [N], equal for pictures that must stay on one side. A group that would give any
    class more than its share is for training; where a class has no group that small, its smallest one is taken.
    A class of only one group, which can't be on both sides, is for training; no class may miss in the validation
    split: DatasetError.
    """
    rng = np.random.default_rng(seed)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    label_of = np.array([numbers[label] for label in labels])
    names, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    contents = np.zeros((len(names), len(numbers)), np.int64)  # pictures of each group and class
    np.add.at(contents, (group_of, label_of), 1)
    wanted = np.maximum(1, np.round(share * contents.sum(0)).astype(np.int64))
    taken, chosen = np.zeros_like(wanted), np.zeros(len(names), bool)
    for label, number in numbers.items():
        # A group belongs to the class of its first picture, wherever its other members are filed.
        members = np.flatnonzero(label_of[first] == number)
        if len(members) < 2 and name == CALIBRATION:
            continue
        if len(members) < 2:
            raise _too_small(label, int(contents[:, number].sum()))
        for group in rng.permutation(members)[:-1]:
            if (taken + contents[group] <= wanted).all():
                chosen[group] = True
                taken += contents[group]
        if not taken[number]:
            smallest = members[contents[members].sum(1).argmin()]
            chosen[smallest] = True
            taken += contents[smallest]
    return [name if chosen[group] else TRAIN for group in group_of]


def _too_small(label: str, count: int) -> DatasetError:
    many = f"{count} pictures that are all the same one" if count > 1 else "1 picture"
    return DatasetError(
        f"class {label!r} is too small to split: {many}", remedy="add more pictures of it, or take the class out"
    )
