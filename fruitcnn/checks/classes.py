"""Classes: their names, and how many pictures each has."""

import collections
from collections.abc import Iterable, Sequence

from fruitcnn.checks.finding import ALIKE_NAMES, FEW, ONE_CLASS, RESERVED_NAME, SMALL, UNEVEN, Finding
from fruitcnn.dataset.labels import alike_names, reserved_names
from fruitcnn.dataset.records import Record
from fruitcnn.wording import counted

# Below, the summary of a training warns too.
_FEWEST, _SMALL, _UNEVEN = 2, 10, 10


def class_findings(counts: dict[str, int], pictures: Iterable[Record], spellings: Sequence[str]) -> list[Finding]:
    """counts: of the pictures, which can all be read, by class; spellings: the classes' names as they are written."""
    found = [
        Finding(ALIKE_NAMES, note=f"{' and '.join(names)}: rename or join them") for names in alike_names(spellings)
    ]
    found += [Finding(RESERVED_NAME, note=f"{name}: rename it") for name in reserved_names(spellings)]
    if len(counts) < _FEWEST:
        found.append(
            Finding(ONE_CLASS, note=f"{counted(len(counts), 'class', 'classes')}: add a folder (or label) for each")
        )
    contents = collections.defaultdict[str, set[str]](set)
    for picture in pictures:
        contents[picture.label].add(picture.sha256)
    largest = max(counts.values(), default=0)
    for label, count in counts.items():
        kind = FEW if len(contents[label]) < _FEWEST else SMALL if count < _SMALL else None
        if kind is not None:
            copies = ", copies of one" if len(contents[label]) < min(count, _FEWEST) else ""
            found.append(Finding(kind, note=f"{label}: {counted(count, 'picture', 'pictures')}{copies}"))
        if count and largest > _UNEVEN * count:
            found.append(Finding(UNEVEN, note=f"{label}: {counted(count, 'picture', 'pictures')} beside {largest:,}"))
    return found
