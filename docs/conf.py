"""The site: `make docs` builds it into build/docs, without a network; a warning is an error."""

import re
from typing import Any

import fruitcnn

project = "fruitcnn"
author = "The fruitcnn developers"
copyright = "2026, the fruitcnn developers"
version = release = fruitcnn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["**/.ipynb_checkpoints"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "fruitcnn"
html_static_path: list[str] = []
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False

default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"

_PAGES = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (?=\S)")


def _link_pages(_app: object, _page: str, source: list[str]) -> None:
    """Pages link to the repository's own files, which are read there too; here these are pages of the site."""
    for file, page in _PAGES.items():
        source[0] = source[0].replace(f"](../{file}", f"]({page}")


def _list_arguments(_app: object, _what: str, _name: str, _of: object, _options: object, lines: list[str]) -> None:
    """A paragraph in which each line says `name: what it is`, or goes on indented, becomes a list."""
    paragraphs = [paragraph.split("\n") for paragraph in "\n".join(lines).strip().split("\n\n")]
    lines[:] = [line for paragraph in paragraphs for line in [*_as_list(paragraph), ""]]


def _as_list(paragraph: list[str]) -> list[str]:
    if not (_ARGUMENT.match(paragraph[0]) and all(_ARGUMENT.match(line) or line.startswith(" ") for line in paragraph)):
        return paragraph
    return [f"  {line.strip()}" if line.startswith(" ") else _ARGUMENT.sub(r"* **\1**: ", line) for line in paragraph]


def setup(app: Any) -> None:
    app.connect("source-read", _link_pages)
    app.connect("autodoc-process-docstring", _list_arguments)
