"""Classes: their names, and how many pictures each has."""

from collections.abc import Iterable

from fruitcnn.checks.finding import ALIKE_NAMES, FEW, SMALL, UNEVEN, Finding
from fruitcnn.dataset.labels import alike_names
from fruitcnn.wording import counted

# Below, the summary of a training warns too.
_FEWEST, _SMALL, _UNEVEN = 2, 10, 10


def class_findings(counts: dict[str, int], spellings: Iterable[str]) -> list[Finding]:
    """counts: pictures that can be read, by class; spellings: the classes' names as they are written."""
    found = [
        Finding(ALIKE_NAMES, note=f"{' and '.join(names)}: rename or join them") for names in alike_names(spellings)
    ]
    largest = max(counts.values(), default=0)
    for label, count in counts.items():
        kind = FEW if count < _FEWEST else SMALL if count < _SMALL else None
        if kind is not None:
            found.append(Finding(kind, note=f"{label}: {counted(count, 'picture', 'pictures')}"))
        if count and largest > _UNEVEN * count:
            found.append(Finding(UNEVEN, note=f"{label}: {counted(count, 'picture', 'pictures')} beside {largest:,}"))
    return found
