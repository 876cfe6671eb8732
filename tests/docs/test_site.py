"""The site is built whole, and what it says of commands and recipes is what the code says."""

import importlib.util
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from fruitcnn.cli import command_line
from fruitcnn.config import Config
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "recipes.md"])
def test_the_reference_is_what_the_code_says(generate: ModuleType, name: str) -> None:
    text = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert text == generate.PAGES[name](), "write it again: python docs/generate.py"


def test_every_key_of_a_recipe_says_what_it_is(generate: ModuleType) -> None:
    sections = [section for field in Config.model_fields.values() if (section := generate._section(field))]
    assert len(sections) == 5
    for section in sections:
        assert not [key for key, field in section.model_fields.items() if not field.description], section


def test_every_value_has_a_name_and_every_example_can_be_typed(generate: ModuleType) -> None:
    commands = dict(generate.commands(typer.main.get_command(command_line()), "fruitcnn"))
    assert set(generate.EXAMPLES) == {name for name, one in commands.items() if not hasattr(one, "commands")}
    for name, line in generate.EXAMPLES.items():
        words = shlex.split(line.removeprefix(name))
        assert line.startswith(name) and commands[name].make_context(name, words).info_name == name
    rows = [row for row in generate.command_page().splitlines() if row.startswith(("| `", "| [`"))]
    assert len(rows) > 70 and not [row for row in rows if "`None`" in row or "--" in "".join(row.split("`")[::2])]


def test_a_recipe_has_no_value_of_a_key_that_means_nothing_in_it(generate: ModuleType) -> None:
    """`features` has no epochs and no share for calibration; the others have no head."""
    text = generate.recipe_page()
    rows = {row.split("|")[1].strip(" `"): [cell.strip() for cell in row.split("|")[2:-1]] for row in text.splitlines()
            if row.startswith("|")}  # fmt: skip
    features, *others = rows["train.epochs"]
    assert (features, rows["data.calibration_share"][0]) == ("", "") and others == ["200", "30", "200", "4", "4"]
    assert rows["head.folds"] == ["5", "", "", "", "", ""] and rows["augment.zoom"][1] == "[0.67, 1.0]"
    assert rows["freeze"][1] == '`""`' and rows["zoom"][1] == "`[1.0, 1.0]`" and rows["split"][1] == "`null`"
    assert "&lt;Name>" in text


class Links(HTMLParser):
    """What a page refers to, links, pictures, scripts, styles, and how it describes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.description = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "meta" and ("name", "description") in attributes:
            self.description += dict(attributes)["content"] or ""
        named = ("src",) if tag in ("img", "script") else ("href",) if tag == "link" else ()
        self.targets += [value for name, value in attributes if name in named and value]


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    """A link that leads nowhere is a warning; nothing that a page shows lies on another server."""
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    folders = ["-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "site")]
    done = subprocess.run([*words, *folders], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")]
    assert {"index.html", "install.html", "api.html", "reference/cli.html", "reference/python.html"} <= set(pages)
    for page in pages:
        links = Links()
        links.feed((tmp_path / "site" / page).read_text(encoding="utf-8"))
        assert links.targets and not [one for one in links.targets if one.startswith(("http", "//"))], page
        assert 10 < len(links.description) <= 160 and "site.css" in " ".join(links.targets), page
    command = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert "\u2013" not in command and '<span class="cell-label">value: </span>' in command
