"""Training, calibration, validation: stratified, seeded, and no picture's near-duplicate on the other side."""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.duplicates import NEAR
from fruitcnn.dataset.records import CALIBRATION, SPLITS, TRAIN, VALIDATION, Record
from fruitcnn.errors import DatasetError
from fruitcnn.terminal import printable

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
    split = _with_their_groups([record.split for record in pictures], groups)
    blanks = "" in split
    if not {"", TRAIN} & set(split):
        has = ", ".join(name for name in SPLITS if name in split)
        raise DatasetError(f"has no pictures to train on (it has: {has})", value=data, remedy="add a split train")
    if blanks or VALIDATION not in split:
        # What the data set itself calls test stays out of both; what it calls train stays there beside blanks.
        free = np.flatnonzero([name in ("", TRAIN) for name in split])
        labels, fixed = [pictures[index].label for index in free], [blanks and split[index] == TRAIN for index in free]
        made = assign_split(labels, groups[free], share=rules.validation, seed=rules.seed, fixed=fixed)
        for index, name in zip(free, made, strict=True):
            split[index] = name
    for name in (TRAIN, VALIDATION):
        present = {record.label for record, side in zip(pictures, split, strict=True) if side == name}
        missing = {record.label for record in pictures} - present
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    return split


def _with_their_groups(split: list[str], groups: NDArray[np.int64]) -> list[str]:
    """The splits, where pictures that have none take that of the others in their group, if those are of one mind."""
    of_group: dict[int, set[str]] = collections.defaultdict(set)
    for name, group in zip(split, groups.tolist(), strict=True):
        of_group[group] |= {name} - {""}
    return [
        name or (next(iter(of_group[group])) if len(of_group[group]) == 1 else "")
        for name, group in zip(split, groups.tolist(), strict=True)
    ]


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
    labels: list[str],
    groups: NDArray[np.int64],
    *,
    share: float,
    seed: int,
    name: str = VALIDATION,
    fixed: Sequence[bool] = (),
) -> list[str]:
    """Give whole groups to the split `name` until it has its share of each class; the rest is for training.

    labels: of N pictures; groups: int [N], equal for pictures that must stay on one side. A group that would give any
    class more than its share is for training; where a class has no group that small, its smallest one is taken.
    A class of only one group, which can't be on both sides, is for training; no class may miss in the validation
    split: DatasetError. fixed: which pictures are for training whatever comes (none by default), and so their groups.
    """
    rng = np.random.default_rng(seed)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    label_of = np.array([numbers[label] for label in labels])
    names, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    contents = np.zeros((len(names), len(numbers)), np.int64)  # pictures of each group and class
    np.add.at(contents, (group_of, label_of), 1)
    wanted = np.maximum(1, np.round(share * contents.sum(0)).astype(np.int64))
    taken, chosen = np.zeros_like(wanted), np.zeros(len(names), bool)
    is_fixed = np.isin(np.arange(len(names)), group_of[np.flatnonzero(fixed)])
    for label, number in numbers.items():
        # A group belongs to the class of its first picture, wherever its other members are filed.
        members = np.flatnonzero(label_of[first] == number)
        candidates = members[~is_fixed[members]]
        if (len(members) < 2 and name == CALIBRATION) or not len(candidates):
            continue
        if len(members) < 2:
            raise _too_small(label, int(contents[:, number].sum()))
        # One group of each class stays.
        most = min(len(candidates), len(members) - 1)
        for group in rng.permutation(candidates)[:most]:
            if (taken + contents[group] <= wanted).all():
                chosen[group] = True
                taken += contents[group]
        if not taken[number]:
            smallest = candidates[contents[candidates].sum(1).argmin()]
            chosen[smallest] = True
            taken += contents[smallest]
    return [name if chosen[group] else TRAIN for group in group_of]


def _too_small(label: str, count: int) -> DatasetError:
    if count < 2:
        problem, remedy = "1 picture", "add more pictures of it, or take the class out"
    else:
        problem = f"its {count} pictures are near-duplicates of one another (perceptual hashes up to {NEAR} bits apart)"
        remedy = "add others, or say which are for validation (folders train and validation, or a column split)"
    return DatasetError(f"class {printable(label)!r} is too small to split: {problem}", remedy=remedy)
