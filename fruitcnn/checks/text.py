"""What was found, in lines of 80 columns."""

from fruitcnn.cells import cut, padded, wrapped
from fruitcnn.checks.finding import KINDS, CheckedSet, Kind
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

_COLUMNS, _NAME, _COUNT = 80, 20, 7
# Examples of a kind, and classes, that are named.
_SHOWN, _CLASSES = 3, 20


def summary(checked: CheckedSet) -> str:
    """Counts and examples, the serious first; kinds of which nothing was found in one line at the end."""
    named = [f"{label} {count:,}" for label, count in checked.classes.items()]
    classes = ", ".join(named[:_CLASSES]) + (f" and {len(named) - _CLASSES} more" if len(named) > _CLASSES else "")
    total = counted(sum(checked.classes.values()), "picture", "pictures")
    size = counted(len(checked.classes), "class", "classes")
    lines = wrapped(printable(f"{checked.data}: {total} of {size}: {classes}"), _COLUMNS)
    for heading, serious in (("serious: mend these first", True), ("to look at", False)):
        kinds = [kind for kind in KINDS if kind.serious is serious and checked.of(kind.name)]
        if kinds:
            lines += ["", heading]
        for kind in kinds:
            lines += _of_kind(checked, kind)
    clean = [kind.name for kind in KINDS if not checked.of(kind.name)]
    lines += ["", *wrapped(f"nothing found: {', '.join(clean)}" if clean else "", _COLUMNS)]
    for remark in checked.remarks:
        lines += wrapped(printable(remark), _COLUMNS)
    # A name may be longer than a line.
    return "\n".join(cut(line, _COLUMNS, "...") for line in lines)


def _of_kind(checked: CheckedSet, kind: Kind) -> list[str]:
    found = checked.of(kind.name)
    lines = []
    for number, finding in enumerate(found[:_SHOWN]):
        head = f"  {kind.name:<{_NAME}}{len(found):>{_COUNT - 2},}  " if number == 0 else ""
        lines.append(padded(head, _NAME + _COUNT + 2) + printable(finding.words))
    if len(found) > _SHOWN:
        lines.append(f"{'':<{_NAME + _COUNT + 2}}and {len(found) - _SHOWN:,} more")
    return lines
