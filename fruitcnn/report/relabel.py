"""The whole data set as a list that `train` reads, for the page to correct and hand out."""

import os
from pathlib import Path
from typing import Any

from fruitcnn.dataset.records import Record


def relabel_table(data: Path, listing: list[Record], labels: list[str], suspects: list[str]) -> dict[str, Any]:
    """Columns and rows of a CSV that stands where the set is, and which row each suspicious file has there.

    Columns: file, label, and split and duplicate_group where the set has them.
    """
    # A list finds its pictures from the folder that it lies in.
    base = data if data.is_dir() else data.parent
    columns = ["file", "label"]
    columns += ["split"] if all(photo.split for photo in listing) else []
    columns += ["duplicate_group"] if any(photo.group for photo in listing) else []
    values = {
        "file": [Path(os.path.relpath(photo.path, base)).as_posix() for photo in listing],
        "label": [photo.label for photo in listing],
        "split": [photo.split for photo in listing],
        "duplicate_group": [photo.group or "" for photo in listing],
    }
    number = {photo.file: row for row, photo in enumerate(listing)}
    rows = [list(row) for row in zip(*(values[column] for column in columns), strict=True)]
    return {
        "columns": columns,
        "rows": rows,
        "labels": labels,
        "suspects": [number.get(file) for file in suspects],
        "folder": base.resolve().name,
    }
