"""What the folders of a data set stand for: splits, classes, or a level too high or too low."""

import collections
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fruitcnn.dataset.records import CALIBRATION, SPLITS, TEST, TRAIN, VALIDATION
from fruitcnn.errors import DatasetError
from fruitcnn.listing import is_folder, is_ignored
from fruitcnn.terminal import printable

# The names that people give to the splits.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    CALIBRATION: CALIBRATION,
    **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
# Names that are not taken for a split, but look like one: training_set, images-test, train2017, TestImages.
_FILLING = r"(?:[\W\d_]|data|images?|imgs?|photos?|pictures?|sets?|splits?|samples?|examples?|folders?)*"
_LIKE_A_SPLIT = re.compile(f"{_FILLING}({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))}){_FILLING}")
# Names that an error lists.
_LISTED = 5


def splits_of(root: Path, folders: list[Path]) -> dict[Path, str]:
    """The split that each folder stands for; empty where they are classes (of which one may be called "train").

    Raises DatasetError where neither can be meant.
    """
    splits = {folder: SPLIT_NAMES.get(folder.name.casefold(), "") for folder in folders}
    named = set(splits.values()) - {""}
    if named and all(splits.values()):
        return splits
    if len(named) > 1:
        extra = listed(folder.name for folder, split in splits.items() if not split)
        problem = f"has folders of splits ({', '.join(sorted(named))}) and others beside them: {extra}"
        raise DatasetError(problem, value=root, remedy="take those out, or call them train, validation or test")
    alike = {folder: _split_like(folder.name) for folder in folders}
    if len(set(alike.values()) - {""}) > 1:
        names = listed(folder.name for folder, split in alike.items() if split)
        there = [split for split in SPLITS if split in alike.values()]
        first = next(folder for folder, split in alike.items() if split == there[0])
        remedy = f"call them {', '.join(there)}, or give {printable(str(first))}"
        raise DatasetError(f"has folders that look like splits, not classes: {names}", value=root, remedy=remedy)
    return {}


def check_level(root: Path, inner: Mapping[Path, list[str]], *, loose: Iterable[Path]) -> list[str]:
    """Refuse class folders whose own folders are classes or splits; returns warnings where that may be meant so.

    inner: the names of the folders in each class folder; loose: the class folders with pictures of their own.
    Raises DatasetError.
    """
    classes = {folder.name.casefold() for folder in inner}
    times = collections.Counter(name.casefold() for names in inner.values() for name in names)
    shared = {name for name, count in times.items() if count > 1}
    for folder, names in inner.items():
        splits = {SPLIT_NAMES.get(name.casefold(), "") for name in names} - {""}
        if len(splits) > 1:
            problem = f"holds folders of splits: {listed(names)}"
            remedy = "put the splits above the classes (train/grape, test/grape), or give a CSV with a split column"
            remedy = f"give {printable(str(folder))}" if len(inner) == 1 else remedy
            raise DatasetError(problem, value=folder, remedy=remedy)
        same = [name for name in names if name.casefold() in classes - {folder.name.casefold()}]
        if len(same) > 1 or (_split_like(folder.name) and (same or shared & set(map(str.casefold, names)))):
            problem = f"is beside classes and holds folders of classes itself: {listed(same or names)}"
            remedy = f"give one of the two: take it out, or give {printable(str(folder))}"
            raise DatasetError(problem, value=folder, remedy=remedy)
    return _nested(inner, shared, set(loose))


def _nested(inner: Mapping[Path, list[str]], shared: set[str], loose: set[Path]) -> list[str]:
    deep = [folder for folder, names in inner.items() if len(names) > 1 and folder not in loose]
    same = [folder for folder in deep if shared & {name.casefold() for name in inner[folder]}]
    if len(same) > 1:
        what = f"the class folders {listed(folder.name for folder in same)} hold the same folders"
    elif len(deep) == len(inner) > 1:
        what = f"the class folders {listed(folder.name for folder in deep)} hold no pictures, only folders"
        same = deep
    else:
        return []
    names = listed(inner[same[0]])
    return [f"warning: {what} ({names}): if those are the classes, give {same[0]}"]


def folder_to_give(root: Path) -> Path | None:
    """The first folder on the way down from `root` that holds several, where each before it holds one alone."""
    folder, found = root, visible_folders(root)
    while len(found) == 1:
        folder, found = found[0], visible_folders(found[0])
    return folder if found and folder != root else None


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, but for hidden ones and those of the system; none of one that can't be opened."""
    try:
        with os.scandir(folder) as found:
            # In this order: of an entry that is no link it is known without a look at the disk whether it is a folder.
            return sorted(path for entry in found if is_folder(entry) and not is_ignored(path := Path(entry.path)))
    except OSError:
        return []


def listed(names: Iterable[str]) -> str:
    """Some names in a row, so that they can be shown."""
    shown = [printable(name) for name in names]
    return ", ".join(shown[:_LISTED]) + (f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else "")


def _split_like(name: str) -> str:
    match = _LIKE_A_SPLIT.fullmatch(name.casefold())
    return SPLIT_NAMES[match[1]] if match else ""
