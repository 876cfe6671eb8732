"""A picture that is to be labelled, and the list of such pictures."""

import csv
import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.identify.results import Identification

UNSURE, UNKNOWN = "unsure", "unknown"
_COLUMNS = ("file", "label", "reason", "guess", "probability", "second", "second_probability", "familiarity")


@dataclasses.dataclass(frozen=True)
class Listed:
    """A picture with the model's answer to it. is_unknown: it is chosen for being unlike all that the model knows."""

    answer: Identification
    is_unknown: bool

    @property
    def path(self) -> Path:
        """Where it was found."""
        return Path(self.answer.file)

    @property
    def file(self) -> str:
        """Its full path, by which it is found from any folder; links in it stay."""
        return os.path.abspath(self.answer.file)  # noqa: PTH100 (links stay)

    @property
    def guesses(self) -> tuple[tuple[str, float], tuple[str, float] | None]:
        """The likeliest label and the next with their probabilities."""
        rows = zip(self.answer.labels, self.answer.probabilities, strict=True)
        first, *others = sorted(rows, key=lambda row: -row[1])
        return first, others[0] if others else None


def csv_rows(chosen: list[Listed]) -> Iterator[str]:
    """The list as lines of CSV, for a spreadsheet or a program to fill in the empty label."""
    yield _line(_COLUMNS)
    for one in chosen:
        first, second = one.guesses
        cells = [one.file, "", UNKNOWN if one.is_unknown else UNSURE, *first, *(second or ("", ""))]
        yield _line((*cells, "" if one.answer.familiarity is None else one.answer.familiarity))


def _line(cells: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
