"""The maintainers' pages are true: what extending.md says is run, and architecture.md names what is there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_extending_are_one_program_that_runs(drawn: Path, tmp_path: Path) -> None:
    """With a network, a recipe, a metric and a format that are added by the page alone."""
    program = []
    for language, name, text in BLOCK.findall((REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "python":
            program.append(text)
    (tmp_path / "drawn").symlink_to(drawn)
    (tmp_path / "program.py").write_text("".join(program), encoding="utf-8")
    words = [sys.executable, "-W", "error", "-W", "ignore:__array__:DeprecationWarning", "program.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, metric, parity, architecture = done.stdout.splitlines()
    value, low, high = (float(number) for number in re.findall(r"\d\.\d+", metric))
    assert 0 < low <= value <= high < 2 and architecture == "tiny_net"
    assert "labels.txt" in parity and "3 labels" in parity
    assert (tmp_path / "checkpoints/mine/labels.txt").read_text().split() == ["grape", "pineapple", "strawberry"]


def test_architecture_names_every_module_and_package() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    package = REPOSITORY / "fruitcnn"
    modules = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert len(modules) > 15 and len(packages) > 8
    assert not {name for name in modules | packages if not re.search(rf"(^|[\s(`]){re.escape(name)}", text)}


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    assert len(pages) >= 6
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert not target or (page.parent / target).exists(), f"{page.name}: {target}"
