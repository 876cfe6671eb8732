"""README stays true where that can be told from the files."""

import re

from tests.conftest import REPOSITORY


def test_the_fault_table_has_a_row_for_every_test_of_faults() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ *(\d+) of (\d+) +(\S.*)$", readme, re.MULTILINE)
    sources = "".join(file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests" / "faults").glob("test_*.py"))
    names = [name.replace("_", " ") for name in re.findall(r"^def test_(\w+)", sources, re.MULTILINE)]
    assert len(names) >= 50 and sorted(names) == sorted(name for _, _, name in rows)
    cases = sum(int(held) for held, _, _ in rows)
    assert f"{len(names)} kinds of fault: {cases} held, 0 failed" in readme
