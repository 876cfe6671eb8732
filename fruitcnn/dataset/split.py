"""Training, calibration, validation: stratified, seeded, and no picture's near-duplicate on the other side."""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from fruitcnn.arrays import IntArray
from fruitcnn.dataset.records import CALIBRATION, SPLITS, TRAIN, VALIDATION, Record
from fruitcnn.errors import DatasetError
from fruitcnn.terminal import printable

# Fewer pictures say too little about a temperature, and nothing about the least familiar twentieth.
FEWEST_TO_CALIBRATE = 50
# What near-duplicates mean for a split: they stay on one side, are only warned of ("warn"), or are not looked for.
GROUP: Final = "group"
OFF: Final = "off"


@dataclasses.dataclass(frozen=True)
class SplitRules:
    """How a set is split that is not split already: the share for validation, that of the rest to calibrate on."""

    validation: float = 0.15
    calibration: float = 0.0
    seed: int = 0
    near_duplicates: Literal["group", "warn", "off"] = GROUP


@dataclasses.dataclass(frozen=True)
class Split:
    """names: the split of each of N pictures; groups: int [N], equal for those on one side; remarks: for people."""

    names: list[str]
    groups: IntArray
    remarks: list[str]


def split_pictures(data: Path, pictures: list[Record], groups: IntArray, rules: SplitRules) -> Split:
    """The split of each of N pictures: the one that the data set names, or one of fruitcnn's making.

    data: what errors name; groups: int [N], equal for pictures that must stay on one side. A class that is one group
    is divided all the same, and that is said. Raises DatasetError.
    """
    split = _with_their_groups([record.split for record in pictures], groups)
    blanks, remarks = "" in split, list[str]()
    if not {"", TRAIN} & set(split):
        has = ", ".join(name for name in SPLITS if name in split)
        raise DatasetError(f"has no pictures to train on (it has: {has})", value=data, remedy="add a split train")
    labels = [record.label for record in pictures]
    if blanks or VALIDATION not in split:
        # What the data set itself calls test stays out of both; what it calls train stays there beside blanks.
        free = np.flatnonzero([name in ("", TRAIN) for name in split])
        groups, remarks = _with_classes_divided(labels, groups, free)
        fixed = [blanks and split[index] == TRAIN for index in free]
        made = assign_split(
            [labels[index] for index in free], groups[free], share=rules.validation, seed=rules.seed, fixed=fixed
        )
        for index, name in zip(free, made, strict=True):
            split[index] = name
    for name in (TRAIN, VALIDATION):
        missing = set(labels) - {label for label, side in zip(labels, split, strict=True) if side == name}
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    if rules.calibration and CALIBRATION not in split:
        split = _set_aside(labels, groups, split, rules)
        if CALIBRATION not in split:
            remarks.append("too few pictures to set some aside for calibration: it is done on the validation split")
    return Split(split, groups, remarks)


def _with_classes_divided(labels: list[str], groups: IntArray, free: IntArray) -> tuple[IntArray, list[str]]:
    """The groups, without those that all of a class is in: there each picture of the class stands for itself."""
    divided, remarks = groups.copy(), []
    classes: dict[str, list[int]] = collections.defaultdict(list)
    for index in free.tolist():
        classes[labels[index]].append(index)
    for label, members in sorted(classes.items()):
        if len(members) > 1 and len(set(groups[members].tolist())) == 1:
            divided[members] = members
            problem = f"all {len(members)} pictures of {label} count as near-duplicates of one another"
            remarks.append(f"warning: {problem}; they are divided between the splits, so its figures may flatter")
    return divided, remarks


def _with_their_groups(split: list[str], groups: IntArray) -> list[str]:
    """The splits, where pictures that have none take that of the others in their group, if those are of one mind."""
    of_group: dict[int, set[str]] = collections.defaultdict(set)
    for name, group in zip(split, groups.tolist(), strict=True):
        of_group[group] |= {name} - {""}
    return [
        name or (next(iter(of_group[group])) if len(of_group[group]) == 1 else "")
        for name, group in zip(split, groups.tolist(), strict=True)
    ]


def _set_aside(labels: list[str], groups: IntArray, split: list[str], rules: SplitRules) -> list[str]:
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
    groups: IntArray,
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
        if not len(members):
            members = np.flatnonzero(contents[:, number])
        candidates = members[~is_fixed[members]]
        if (len(members) < 2 and name == CALIBRATION) or not len(candidates):
            continue
        if len(members) < 2:
            problem = f"class {printable(label)!r} is too small to split: 1 picture"
            if contents[:, number].sum() > 1:
                problem = f"class {printable(label)!r} can't be split: its pictures are one group"
            raise DatasetError(problem, remedy="add more pictures of it, or take the class out")
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
