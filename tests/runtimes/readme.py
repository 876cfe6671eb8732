"""The tables of README that a command writes, each between two markers."""

import re

from tests.conftest import REPOSITORY

FILE = REPOSITORY / "README.md"


def write_table(name: str, table: str) -> None:
    """Put `table` between the markers of `name`."""
    text = FILE.read_text(encoding="utf-8")
    place = re.compile(f"(<!-- {name}: [^\n]*-->\n).*(<!-- end of {name} -->)", flags=re.DOTALL)
    assert len(place.findall(text)) == 1, f"README has not one place for the table {name}"
    FILE.write_text(place.sub(lambda found: found[1] + table + found[2], text), encoding="utf-8")
