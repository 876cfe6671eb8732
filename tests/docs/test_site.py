"""The site is built whole, and what it says of commands and recipes is what the code says."""

import importlib.util
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

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


class Links(HTMLParser):
    """What a page refers to: links, pictures, scripts, styles."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
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
