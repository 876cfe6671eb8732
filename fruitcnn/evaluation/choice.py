"""Which pictures an evaluation is of."""

from pathlib import Path

from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION, Record
from fruitcnn.errors import DatasetError, UsageError
from fruitcnn.listing import find_pictures

# The split of pictures of other things, in predictions.csv.
OUTSIDE = "outside"


def choose_split(data: Path, records: list[Record], split: str | None) -> tuple[str, list[Record]]:
    """The name and the records of a split; by default of what a model has not learned from. Raises DatasetError."""
    there = {record.split for record in records}
    if split is None:
        # What a model has not learned from says what it is worth.
        split = next((name for name in (TEST, VALIDATION, TRAIN) if name in there), "")
    chosen = [record for record in records if record.split == split]
    if not chosen:
        names = ", ".join(sorted(name for name in there if name)) or "none"
        raise DatasetError(f"has no {split} split (it has: {names})", value=data, remedy="leave out --split")
    return split, chosen


def check_labels(data: Path, records: list[Record], labels: tuple[str, ...]) -> None:
    """Raise DatasetError where a label is none of the model's."""
    unknown = sorted({record.label for record in records} - set(labels))
    if unknown:
        problem = f"has labels that the model does not know: {', '.join(unknown[:5])}"
        known = ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
        raise DatasetError(problem, value=data, remedy=f"it knows {known}; give other things with --outside")


def outside_pictures(folder: Path) -> list[Record]:
    """A record for each picture below a folder of other things. Raises UsageError and DatasetError."""
    if not folder.is_dir():
        raise UsageError("no such folder", value=folder, remedy="name a folder of pictures (--outside)")
    pictures, _ = find_pictures(folder)
    if not pictures:
        raise DatasetError("no pictures in this folder", value=folder, remedy="name a folder of pictures (--outside)")
    return [Record(str(path), path, "", OUTSIDE) for path in pictures]
