"""What a check can find: one list of kinds, and the findings of one set."""

import dataclasses
from pathlib import Path

from fruitcnn.dataset.fixes import DROP, KEEP, Fix
from fruitcnn.dataset.records import Record


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes:
        name: Its name, as `CheckedSet.of` takes it.
        serious: Whether it makes a training fail, or its figures wrong.
        text: What it means.
    """

    name: str
    serious: bool
    text: str


UNREADABLE = Kind("unreadable", True, "files that can't be read as pictures; a training leaves them out")
ALIKE_NAMES = Kind("alike class names", True, "names that differ in case, blanks or what can't be seen")
RESERVED_NAME = Kind("reserved class name", True, "the results have a column or an answer of that name")
ONE_CLASS = Kind("too few classes", True, "a classifier needs two classes or more")
FEW = Kind("class too small", True, "fewer than 2 pictures: one to learn from, one to measure on; copies count once")
TWO_LABELS = Kind("two labels", True, "one picture, or its near-duplicate, under several labels")
LEAK = Kind("leak", True, "one picture, or its near-duplicate, in several splits: the figures flatter")
BLANK = Kind("blank", True, "nearly one colour")
LABEL = Kind("label to check", False, "pictures that look like another class, by models that never met them")
ODD = Kind("unlike all others", False, "pictures that are far from all others")
COPY = Kind("exact copy", False, "files of the same bytes; a training without a split of its own takes one")
NEAR = Kind("near-duplicate", False, "pictures that show the same, mirrored ones too; a split keeps them on one side")
SMALL = Kind("small class", False, "fewer than 10 pictures: answers of this class are worth little")
UNEVEN = Kind("uneven classes", False, "the largest class has more than 10 times the pictures of this one")
DAMAGED = Kind("damaged", False, "decoded, but not all of it is there")
DARK = Kind("very dark", False, "all but 1 % of the picture is darker than 0.32 of white")
BRIGHT = Kind("very bright", False, "all but 5 % of the picture is brighter than 0.95 of white")
BLURRED = Kind("blurred", False, "the variance of its Laplacian is far below that of its neighbours")
TINY = Kind("tiny", False, "the shorter side has fewer than 32 pixels")
LONG = Kind("elongated", False, "one side is more than 2.86 times as long as the other")
FOREIGN = Kind("other file", False, "files that are no labelled pictures")

# In the order in which people read them.
KINDS = (
    *(UNREADABLE, ALIKE_NAMES, RESERVED_NAME, ONE_CLASS, FEW, TWO_LABELS, LEAK, BLANK),
    *(LABEL, ODD, COPY, NEAR, SMALL, UNEVEN, DAMAGED, DARK, BRIGHT, BLURRED, TINY, LONG, FOREIGN),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a check has found. It is about a picture, a group of pictures or a class.

    Attributes:
        kind: What kind of thing it is.
        records: The pictures that it is about. Empty where it is about a class.
        note: What else there is to know.
        fixes: What you could do, at most one row for each picture.
    """

    kind: Kind
    records: tuple[Record, ...] = ()
    note: str = ""
    fixes: tuple[Fix, ...] = ()

    @property
    def words(self) -> str:
        """The finding in one line, with the files, their labels where they differ, and the note."""
        labels = {record.label for record in self.records}
        names = [
            record.file + (f" ({record.label})" if len(labels) > 1 else "") + (f" [{record.split}]" * self._across())
            for record in self.records
        ]
        return ": ".join(part for part in (", ".join(names), self.note) if part)

    def _across(self) -> bool:
        return len({record.split for record in self.records}) > 1


def dropped(record: Record, reason: str) -> Fix:
    """A proposal to leave a picture out."""
    return Fix(record.file, record.label, DROP, "", reason)


def kept(record: Record, reason: str, new_label: str = "") -> Fix:
    """A proposal for a person to decide: nothing happens as long as the action is not edited."""
    return Fix(record.file, record.label, KEEP, new_label, reason)


@dataclasses.dataclass(frozen=True)
class CheckedSet:
    """The result of a check. `str(checked)` is its summary.

    Attributes:
        data: The set of pictures that was checked.
        classes: The number of readable pictures of each class.
        findings: All findings, the serious ones first.
        remarks: What else there is to know.
    """

    data: Path
    classes: dict[str, int]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()

    @property
    def serious(self) -> bool:
        """Whether you should mend something before a training."""
        return any(finding.kind.serious for finding in self.findings)

    def of(self, kind: str) -> list[Finding]:
        """Return the findings of one kind.

        Args:
            kind: The name of the kind, such as "near-duplicate" or "label to check".
        """
        return [finding for finding in self.findings if finding.kind.name == kind]

    def fixes(self) -> list[Fix]:
        """Return what you could do, one row for each picture.

        A proposal to leave a picture out comes before all others.
        """
        rows: dict[str, Fix] = {}
        for fix in (fix for finding in self.findings for fix in finding.fixes):
            if fix.file not in rows or (fix.action == DROP and rows[fix.file].action != DROP):
                rows[fix.file] = fix
        return list(rows.values())

    def summary(self) -> str:
        """Return all findings as text, in lines of at most 80 columns."""
        from fruitcnn.checks.text import summary

        return summary(self)

    def __str__(self) -> str:
        return self.summary()
