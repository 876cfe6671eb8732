"""The site: `make docs` builds it into build/docs, without a network; a warning is an error."""

import html
import re
import textwrap
from typing import Any

from docutils import nodes

import fruitcnn

project = "fruitcnn"
author = "The fruitcnn developers"
copyright = "2026, the fruitcnn developers"
version = release = fruitcnn.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/.ipynb_checkpoints"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "fruitcnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "_static/logo.svg"
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
# The theme's own style for the dark underlines names of modules, as if they were links.
pygments_dark_style = "github-dark"
# Quotes and hyphens stay what has to be typed.
smartquotes = False
html_copy_source = False
html_show_sphinx = False

default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
# A longer signature has one argument a line.
python_maximum_signature_line_length = 60

# Pages whose tables become lists on a phone.
_STACKED = ("reference/cli", "reference/recipes")
_LINE = 36
# Columns that need no name there.
_SELF_EVIDENT = ("command", "argument", "option", "key", "what it is", "what it does")
_PAGES = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
# What types are shown as, one replacement after the other: arrays by their dtype alone, names without their modules.
_ANY = r"~?(?:typing\.)?Any"
_TYPES = (
    (rf"~?numpy\.ndarray\[tuple\[{_ANY}, \.\.\.\], ~?numpy\.dtype\[{_ANY}\]\]", "~numpy.ndarray"),
    (
        rf"~?numpy\.ndarray\[tuple\[{_ANY}, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)(?:\[{_ANY}\])?\]\]",
        r"~numpy.ndarray[~numpy.\1]",
    ),
    (
        r"str \| \S+ \| bytes \| bytearray \| memoryview \| \S+ \| \S+ \| ~numpy\.ndarray",
        "~fruitcnn.image.source.Source",
    ),
    (r"(?<![~\w.])(\w+\.[\w.]*\w)", r"~\1"),
)


def _link_pages(_app: object, _page: str, source: list[str]) -> None:
    """Pages link to the repository's own files, which are read there too; here these are pages of the site."""
    for file, page in _PAGES.items():
        source[0] = source[0].replace(f"](../{file}", f"]({page}")


def _shorten_signature(
    _app: object, _what: str, _name: str, _of: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    return signature and _shortened(signature, _TYPES[:-1]), returns and _shortened(returns)


def _move_types(_app: object, _what: str, _name: str, _of: object, _options: object, lines: list[str]) -> None:
    """An attribute's type goes beside its name; napoleon puts it below the text."""
    text = "\n".join(lines)
    attribute = re.compile(r"^(\.\. attribute:: \S+\n)((?:(?!\.\. ).*\n)*?) +:type: (.+)$", re.MULTILINE)
    lines[:] = attribute.sub(lambda at: f"{at[1]}   :type: {_shortened(at[3])}\n{at[2]}", text).split("\n")


def _shortened(text: str, types: tuple[tuple[str, str], ...] = _TYPES) -> str:
    for long, short in types:
        text = re.sub(long, short, text)
    return text


def _find_public(_app: object, env: Any, node: Any, content: Any) -> Any:
    """A public name is documented as `fruitcnn.NAME`, wherever in the package its module is."""
    package, _, name = node.get("reftarget", "").partition(".")
    name = name.rpartition(".")[2]
    if node.get("refdomain") != "py" or package != "fruitcnn" or name not in fruitcnn.__all__:
        return None
    domain, builder = env.domains["py"], env.app.builder
    return domain.resolve_xref(env, node["refdoc"], builder, node["reftype"], f"fruitcnn.{name}", node, content)


def _label_cells(_app: object, doctree: nodes.document, page: str) -> None:
    """In the reference each cell has the name of its column, shown where site.css stacks the cells of a row."""
    for table in doctree.findall(nodes.table) if page in _STACKED else ():
        table["classes"].append("stacked")
        head, *rows = table.findall(nodes.row)
        for cell, name in ((cell, name.astext()) for row in rows for cell, name in zip(row, head, strict=True)):
            if not cell.astext():
                cell.clear()
            elif name not in _SELF_EVIDENT:
                cell[0].insert(0, nodes.inline("", f"{name}: ", classes=["cell-label"]))


def _mark_long_code(_app: object, doctree: nodes.document, _page: str) -> None:
    """A word of code that may be longer than a phone's line may break."""
    for code in doctree.findall(nodes.literal):
        if any(len(word) > _LINE for word in code.astext().split()):
            code["classes"].append("long")


def _describe(_app: object, _page: str, _template: str, context: dict[str, Any], doctree: Any) -> None:
    """What a search engine shows of a page: its title and its first paragraph."""
    told = f"The pages of {project}"
    if doctree:
        paragraphs = (one for one in doctree.findall(nodes.paragraph) if not isinstance(one.parent, nodes.entry))
        first = [next(doctree.findall(nodes.title), None), next(paragraphs, None)]
        told = ": ".join(part.astext() for part in first if part)
    text = html.escape(textwrap.shorten(told, 160, placeholder=" ..."))
    context["metatags"] = f'{context.get("metatags", "")}<meta name="description" content="{text}">\n'


def _draw_dashes(_app: object, doctree: Any) -> None:
    """Between an argument and its text; Sphinx leaves it to the smart quotes, which are off."""
    for text in [text for text in doctree.findall(nodes.Text) if text == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Any) -> None:
    app.connect("source-read", _link_pages)
    app.connect("autodoc-process-signature", _shorten_signature)
    app.connect("autodoc-process-docstring", _move_types)
    app.connect("missing-reference", _find_public)
    app.connect("doctree-resolved", _label_cells)
    app.connect("doctree-resolved", _mark_long_code)
    app.connect("html-page-context", _describe)
    app.connect("doctree-read", _draw_dashes)
