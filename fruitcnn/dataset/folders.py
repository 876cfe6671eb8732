"""From a folder of class folders, or of splits of them, to the records that it holds."""

import functools
from collections.abc import Callable
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.dataset.labels import clean_label
from fruitcnn.dataset.layout import check_level, listed, splits_of, visible_folders
from fruitcnn.dataset.records import Listing, Record
from fruitcnn.errors import DatasetError
from fruitcnn.listing import find_pictures, is_ignored
from fruitcnn.terminal import printable


def read_folder(root: Path) -> Listing:
    """List the pictures of a folder of classes, or of splits of classes. Raises DatasetError and OSError."""
    is_ours = _seeker_of_results(root)
    entries = list(root.iterdir())
    visible = visible_folders(root)
    results = [folder for folder in visible if _is_results_alone(folder, is_ours)]
    folders = [folder for folder in visible if folder not in results]
    rest = sorted(set(entries) - set(visible))
    if not folders:
        raise _no_classes(root)
    splits = splits_of(root, folders)
    classes = [(inner, split) for folder, split in splits.items() for inner in visible_folders(folder)]
    if splits and not classes:
        problem, remedy = "no class folders in", "put each class's pictures in its own folder in there"
        raise DatasetError(f"{problem} {listed(folder.name for folder in splits)}", value=root, remedy=remedy)
    # What lies beside the class folders of a split.
    inside = {folder for folder, _ in classes}
    rest += [path for folder in splits for path in sorted(folder.iterdir()) if path not in inside]
    classes = classes or [(folder, "") for folder in folders]
    records, loose = [], []
    for folder, split in classes:
        label = clean_label(folder.name, where=folder)
        pictures, others = find_pictures(folder)
        kept = [path for path in pictures if not is_ours(path.parent)]
        records += [Record(path.relative_to(root).as_posix(), path, label, split) for path in kept]
        loose += [folder for path in kept if path.parent == folder][:1]
        rest += [path for path in others if not is_ours(path.parent)]
    remarks = [f"left out {folder}: models and results of fruitcnn" for folder in results]
    if not splits:
        inner = {folder: [path.name for path in visible_folders(folder)] for folder in folders}
        remarks += check_level(root, inner, loose=loose)
    return Listing(
        records,
        [clean_label(folder.name, where=folder) for folder, _ in classes],
        sum(map(is_ignored, rest)),
        tuple(path for path in rest if not is_ignored(path)),
        tuple(remarks),
        tuple(folder.name for folder, _ in classes),
    )


def _no_classes(root: Path) -> DatasetError:
    if not find_pictures(root)[0]:
        return DatasetError("has no class folders", value=root, remedy="put each class's pictures in its own folder")
    remedy = "put each class's pictures in its own folder"
    above = root.resolve().parent
    if len(visible_folders(above)) > 1:
        remedy = f"give the folder above it, {printable(str(above))}, if this is one class"
    return DatasetError("has pictures, but no class folders", value=root, remedy=remedy)


def _seeker_of_results(root: Path) -> Callable[[Path], bool]:
    """Whether a folder below `root` is, or lies in, what fruitcnn has written; each folder is looked at once."""

    @functools.cache
    def is_ours(folder: Path) -> bool:
        return folder != root and root in folder.parents and (checkpoint.is_ours(folder) or is_ours(folder.parent))

    return is_ours


def _is_results_alone(folder: Path, is_ours: Callable[[Path], bool]) -> bool:
    """Whether a folder holds runs, exports or reports, and no pictures beside them."""
    there = (folder, *visible_folders(folder))
    return any(map(is_ours, there)) and all(is_ours(path.parent) for path in find_pictures(folder)[0])
