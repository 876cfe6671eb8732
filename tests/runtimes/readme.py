"""The tables of docs/runtimes.md that a command writes, each between two markers."""

import re
from pathlib import Path

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "runtimes.md"


def write_table(name: str, table: str, file: Path = PAGE) -> None:
    """Put `table` between the markers of `name`."""
    text = file.read_text(encoding="utf-8")
    assert len(_place(name).findall(text)) == 1, f"{file} has not one place for the table {name}"
    file.write_text(_place(name).sub(lambda found: found[1] + table + found[3], text), encoding="utf-8")


def read_table(name: str, file: Path = PAGE) -> list[list[str]]:
    """The cells of each row of the table `name`, its head left out."""
    found = _place(name).search(file.read_text(encoding="utf-8"))
    assert found, f"{file} has no place for the table {name}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[2].splitlines()[2:]]


def _place(name: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {name}: [^\n]*-->\n)(.*)(<!-- end of {name} -->)", flags=re.DOTALL)
