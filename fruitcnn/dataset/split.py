"""Training, calibration, validation: stratified, seeded, and no picture's near-duplicate on the other side."""

import collections
import dataclasses
import hashlib
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
# With fewer pictures of a class, holding a seventh of them out costs a last layer 2 to 4 points of accuracy (4 to 10
# pictures a class of four drawn sets; with 16 and 24 one point).
FEWEST_TO_VALIDATE = 16
# What near-duplicates mean for a split: they stay on one side, are only warned of ("warn"), or are not looked for.
GROUP: Final = "group"
OFF: Final = "off"


@dataclasses.dataclass(frozen=True)
class SplitRules:
    """How a set is split that is not split already: the share for validation, that of the rest to calibrate on.

    fewest: pictures of each class below which none are held out for validation, where learning can do without.
    fewest_classes: that a set may have.
    """

    validation: float = 0.15
    calibration: float = 0.0
    seed: int = 0
    near_duplicates: Literal["group", "warn", "off"] = GROUP
    fewest: int = 0
    fewest_classes: int = 2


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
    if too_few := _too_few(labels, split, rules):
        split = [name or TRAIN for name in split]
        remarks.append(too_few)
    elif blanks or VALIDATION not in split:
        # What the data set itself calls test stays out of both; what it calls train stays there beside blanks.
        free = np.flatnonzero([name in ("", TRAIN, VALIDATION) for name in split])
        groups, remarks = _with_classes_divided(labels, groups, free)
        sides = [split[index] if blanks else "" for index in free]
        for index, name in zip(free, _assigned(pictures, groups, free, rules, VALIDATION, sides), strict=True):
            split[index] = name
    for name in (TRAIN, *(() if too_few else (VALIDATION,))):
        missing = set(labels) - {label for label, side in zip(labels, split, strict=True) if side == name}
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    if rules.calibration and CALIBRATION not in split:
        training = np.flatnonzero(np.array(split) == TRAIN)
        # Only where that is enough of them.
        if round(rules.calibration * len(training)) >= FEWEST_TO_CALIBRATE:
            for index, name in zip(training, _assigned(pictures, groups, training, rules, CALIBRATION), strict=True):
                split[index] = name
        if CALIBRATION not in split:
            remarks.append("too few pictures to set some aside for calibration: it is done on the validation split")
    return Split(split, groups, remarks)


def _assigned(
    pictures: list[Record], groups: IntArray, chosen: IntArray, rules: SplitRules, name: str, sides: Sequence[str] = ()
) -> list[str]:
    """The split of the chosen pictures [M]: `name` or training. sides: the split of those that have one, "" else."""
    labels = [pictures[index].label for index in chosen]
    # Another order for each purpose: who calibrates says nothing about who validates.
    keys = content_keys([pictures[index].sha256 for index in chosen], groups[chosen], f"{name} {rules.seed}")
    share = rules.calibration if name == CALIBRATION else rules.validation
    return assign_split(labels, groups[chosen], keys, share=share, name=name, sides=sides)


def _too_few(labels: list[str], split: list[str], rules: SplitRules) -> str:
    """Why nothing is held out of a set that names no split: what to tell people, "" where something is."""
    counts = collections.Counter(labels)
    label, count = min(counts.items(), key=lambda item: item[1])
    if not 1 < count < rules.fewest or set(split) - {"", TRAIN}:
        return ""
    others = sum(number < rules.fewest for number in counts.values()) - 1
    classes = f"{label} and {others} more" if others else label
    few = f"only {count} pictures of {classes}: all are learned from, and none held out for validation"
    return f"{few}; each is answered by a layer that has not met it"


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


def content_keys(sha256: Sequence[str], groups: IntArray, purpose: str) -> list[str]:
    """What orders the groups [N] of N pictures: a hash of the purpose and of the first content among a group's.

    Neither the names of the files nor their order nor the other groups have a part in it.
    """
    lowest: dict[int, str] = {}
    for content, group in zip(sha256, groups.tolist(), strict=True):
        key = hashlib.sha256(f"{purpose} {content}".encode()).hexdigest()
        lowest[group] = min(key, lowest.get(group, key))
    return [lowest[group] for group in groups.tolist()]


def assign_split(
    labels: list[str],
    groups: IntArray,
    keys: list[str],
    *,
    share: float,
    name: str = VALIDATION,
    sides: Sequence[str] = (),
) -> list[str]:
    """Give whole groups to the split `name` until it has its share of each class; the rest is for training.

    labels: of N pictures; groups: int [N], equal for pictures that must stay on one side; keys: [N], what orders the
    groups (`content_keys`). In each class the first groups go to `name`, up to the one in whose middle the share ends:
    so one picture more, wherever it comes in, moves at most one other group. A group that would give any class more
    than its share is for training; where a class has no group that small, its smallest one is taken. A class of only
    one group, which can't be on both sides, is for training; no class may miss in the validation split: DatasetError.
    sides: the split of pictures that have one already and keep it, with their groups; "" for the others.
    """
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    label_of = np.array([numbers[label] for label in labels])
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    contents = np.zeros((len(first), len(numbers)), np.int64)  # pictures of each group and class
    np.add.at(contents, (group_of, label_of), 1)
    sides = sides or [""] * len(labels)
    settled = np.full(len(first), "", object)
    for group, side in zip(group_of, sides, strict=True):
        settled[group] = side or settled[group]
    wanted = np.maximum(1, np.round(share * contents.sum(0)).astype(np.int64))
    chosen = settled == name
    # A group belongs to the class that most of its pictures are of.
    class_of = contents.argmax(1)
    for label, number in numbers.items():
        members = np.flatnonzero(class_of == number)
        if not len(members):
            members = np.flatnonzero(contents[:, number])
        candidates = np.array(sorted(members[settled[members] == ""], key=lambda group: keys[first[group]]), np.int64)
        if (len(members) < 2 and name == CALIBRATION) or not len(candidates):
            continue
        if len(members) < 2:
            problem = f"class {printable(label)!r} is too small to split: 1 picture (copies count once)"
            if contents[:, number].sum() > 1:
                problem = f"class {printable(label)!r} can't be split: its pictures are one group"
            raise DatasetError(problem, remedy="add more pictures of it, or take the class out")
        # One group of each class stays.
        most = min(len(candidates), len(members) - chosen[members].sum() - 1)
        small = candidates[(contents[candidates] <= wanted).all(1)]
        sizes = contents[small, number]
        taken = contents[chosen, number].sum()
        chosen[small[taken + sizes.cumsum() - sizes / 2 <= wanted[number]][:most]] = True
        if not contents[chosen, number].sum() and most:
            chosen[candidates[contents[candidates].sum(1).argmin()]] = True
    return [side or (name if chosen[group] else TRAIN) for group, side in zip(group_of, sides, strict=True)]
