"""A data set ready for training: checked, decoded, split. Files are read, never moved, changed or deleted."""

import collections
import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fruitcnn.dataset.pixels import DecodedSet, decode_set
from fruitcnn.dataset.sources import TRAIN, VALIDATION, Photo, Source, read_source
from fruitcnn.dataset.split import assign_split, duplicate_groups
from fruitcnn.errors import DatasetError
from fruitcnn.image import Pixels


@dataclasses.dataclass(frozen=True)
class Dataset:
    """N photographs that could be read. `targets` [N] are class indices into `labels`; pixels: uint8 [N, S, S, 3]."""

    files: list[str]
    paths: list[Path]
    sha256: list[str]
    labels: list[str]
    targets: NDArray[np.int64]
    split: list[str]
    pixels: Pixels
    report: list[str]

    def part(self, name: str, *, size: int | None = None) -> tuple[Pixels, NDArray[np.int64]]:
        """Pixels [M, S, S, 3] and class indices [M] of one split; `size` (pixels) for another S than the set's."""
        chosen = self._indices(name)
        if size in (None, self.pixels.shape[1]):
            return self.pixels[chosen], self.targets[chosen]
        return decode_set([self.paths[index] for index in chosen], size).pixels, self.targets[chosen]

    def counts(self, name: str) -> list[int]:
        """Pictures of each class in one split."""
        counts: list[int] = np.bincount(self.targets[self._indices(name)], minlength=len(self.labels)).tolist()
        return counts

    def _indices(self, name: str) -> NDArray[np.intp]:
        return np.flatnonzero([split == name for split in self.split])

    def split_csv(self) -> str:
        """The split as CSV: file, sha256, label, split."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "sha256", "label", "split"])
        names = (self.labels[target] for target in self.targets)
        writer.writerows(zip(self.files, self.sha256, names, self.split, strict=True))
        return text.getvalue()


def scan(data: Path, *, size: int, share: float, seed: int, quiet: bool = True) -> Dataset:
    """Read a data set at [size, size] pixels and split it where it is not split already.

    share: of the pictures that go to the validation split. The report says what was left out and why. Raises
    DatasetError for a set that can't be trained on, with the counts.
    """
    source = read_source(data)
    # By name, so that neither the file system's order nor the CSV's decides the split or the training.
    photos = sorted(source.photos, key=lambda photo: photo.file)
    decoded = decode_set([photo.path for photo in photos], size, quiet=quiet)
    good = [photo for index, photo in enumerate(photos) if index not in decoded.errors]
    _check_classes(data, source.labels, good)
    sha256 = [digest for index, digest in enumerate(decoded.sha256) if index not in decoded.errors]
    groups = duplicate_groups(decoded.hashes, known=[photo.group for photo in good])
    split = _split(data, good, groups, share=share, seed=seed)
    report = _report(source, photos, decoded) + _leaks(good, split, groups)
    targets = np.array([source.labels.index(photo.label) for photo in good])
    files, paths = [photo.file for photo in good], [photo.path for photo in good]
    return Dataset(files, paths, sha256, source.labels, targets, split, decoded.pixels, report)


def apply_split(dataset: Dataset, saved: Path) -> Dataset:
    """The same data set with the split that a run saved. Raises DatasetError where the files have changed since."""
    with saved.open(encoding="utf-8", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    names = [dataset.labels[target] for target in dataset.targets]
    now = dict(zip(dataset.files, zip(dataset.sha256, names, strict=True), strict=True))
    changed = sorted(
        file
        for file in now.keys() | rows.keys()
        if file not in now or file not in rows or now[file] != (rows[file]["sha256"], rows[file]["label"])
    )
    if changed:
        problem = f"{len(changed)} files are not those of the run, {changed[0]} first"
        raise DatasetError(problem, value=saved, remedy="restore the data, or start a new run")
    return dataclasses.replace(dataset, split=[rows[file]["split"] for file in dataset.files])


def _check_classes(data: Path, labels: list[str], photos: list[Photo]) -> None:
    counts = collections.Counter(photo.label for photo in photos)
    listing = ", ".join(f"{label} {counts[label]}" for label in labels) or "none"
    folded = collections.Counter(label.casefold() for label in labels)
    alike = [label for label in labels if folded[label.casefold()] > 1]
    empty = [label for label in labels if not counts[label]]
    if alike:
        problem, remedy = f"classes differ only in letter case: {', '.join(alike)}", "rename or join them"
    elif empty:
        problem, remedy = f"no readable picture in: {', '.join(empty)}", "fill the class, or take it out"
    elif len(labels) < 2:
        problem, remedy = "a classifier needs two classes or more", "add a folder (or label) for each"
    else:
        return
    raise DatasetError(f"{problem} (pictures: {listing})", value=data, remedy=remedy)


def _split(data: Path, photos: list[Photo], groups: NDArray[np.int64], *, share: float, seed: int) -> list[str]:
    given = [photo.split for photo in photos]
    split = [name or TRAIN for name in given]
    if VALIDATION not in split:
        # What the data set itself calls test stays out of both.
        free = np.flatnonzero([name == TRAIN for name in split])
        labels = [photos[index].label for index in free]
        for index, name in zip(free, assign_split(labels, groups[free], share=share, seed=seed), strict=True):
            split[index] = name
    for name in (TRAIN, VALIDATION):
        missing = {photo.label for photo in photos} - {p.label for p, s in zip(photos, split, strict=True) if s == name}
        if missing:
            problem = f"the {name} split has no picture of: {', '.join(sorted(missing))}"
            raise DatasetError(problem, value=data, remedy="add some, or leave the splitting to fruitcnn")
    return split


def _report(source: Source, photos: list[Photo], decoded: DecodedSet) -> list[str]:
    lines = [f"left out {photos[index].path}: {reason}" for index, reason in decoded.errors.items()]
    if source.others:
        lines.append(f"left out {len(source.others)} files that are not labelled pictures, {source.others[0]} first")
    if source.ignored:
        lines.append(f"left out {source.ignored} hidden and system files")
    return lines


def _leaks(photos: list[Photo], split: list[str], groups: NDArray[np.int64]) -> list[str]:
    sides, labels = collections.defaultdict(set), collections.defaultdict(set)
    for photo, name, group in zip(photos, split, groups.tolist(), strict=True):
        sides[group].add(name)
        labels[group].add(photo.label)
    across = [group for group, names in sides.items() if len(names) > 1]
    torn = [group for group, names in labels.items() if len(names) > 1]
    lines = []
    if across:
        example = photos[across[0]].file
        lines.append(f"warning: {len(across)} pictures have near-duplicates in another split, {example} first")
    if torn:
        lines.append(f"warning: {len(torn)} pictures appear under two labels, {photos[torn[0]].file} first")
    return lines
