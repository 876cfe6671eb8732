"""The page to label pictures in: one HTML file that hands out a list which `fruitcnn train` takes."""

import base64
import io
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fruitcnn.dataset.labels import RESERVED
from fruitcnn.dataset.records import Record
from fruitcnn.errors import ImageError
from fruitcnn.image import opened
from fruitcnn.labelling.listed import Listed
from fruitcnn.outputs import write_text

# Long side in pixels and JPEG quality: 15 to 30 KB a picture.
_SIDE, _QUALITY = 400, 72
_HERE = Path(__file__).parent
# What all pages of fruitcnn begin with, and their colours.
_REPORT = _HERE.parent / "report"


def write_page(
    target: Path,
    chosen: list[Listed],
    labels: tuple[str, ...],
    *,
    asked: str,
    known: list[Record],
    extends: Path | None = None,
) -> None:
    """Write the page whole.

    asked: what the pictures are, in a line. known: what is labelled already, whose rows the saved list begins with.
    extends: a run that the list can extend.
    """
    columns = ["file", "label"]
    columns += ["split"] if any(record.split for record in known) else []
    columns += ["duplicate_group"] if any(record.group for record in known) else []
    data = {
        "labels": labels,
        "reserved": RESERVED,
        "asked": asked,
        "hint": _hint(known, extends),
        "columns": columns,
        "rows": [_row(record, columns) for record in known],
        "pictures": list(_pictures(chosen)),
    }
    parts = {
        "HEAD": (_REPORT / "head.html").read_text().rstrip(),
        "STYLE": (_REPORT / "colours.css").read_text() + (_HERE / "page.css").read_text(),
        "SCRIPT": (_HERE / "page.js").read_text(),
    }
    # The data last: what names of files say is not replaced in turn.
    parts["DATA"] = json_for_script(data)
    text = (_HERE / "page.html").read_text(encoding="utf-8")
    for mark, part in parts.items():
        text = text.replace(mark, part, 1)
    write_text(target, text)


def json_for_script(data: Any) -> str:
    """JSON that ends no <script> and begins no tag or comment, whatever texts are in it; ASCII."""
    text = json.dumps(data, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hint(known: list[Record], extends: Path | None) -> str:
    if known:
        then = f"It begins with the {len(known):,} that have a label already. Then: fruitcnn train labelled.csv"
    elif extends is not None:
        then = f"Then: fruitcnn train labelled.csv --extend {shlex.quote(str(extends))}"
    else:
        then = "It holds these alone: with --data, label-next puts those before them that have a label already."
    return (
        "Keys: 1 to 9 for the classes, N for another one, 0 or the space bar to skip, U to undo, arrows to look "
        f"around. The list names pictures by their full paths, so it may lie anywhere on this machine. {then}"
    )


def _row(record: Record, columns: list[str]) -> list[str]:
    cells = {"label": record.label, "split": record.split, "duplicate_group": record.group or ""}
    return [os.path.abspath(record.path), *(cells[column] for column in columns[1:])]  # noqa: PTH100 (links stay)


def _pictures(chosen: list[Listed]) -> Iterator[dict[str, Any]]:
    for one in chosen:
        first, second = one.guesses
        guess = f"{first[0]} {first[1]:.0%}" + (f", {second[0]} {second[1]:.0%}" if second else "")
        yield {"file": one.file, "src": _thumbnail(one.path), "guess": guess, "unknown": one.is_unknown}


def _thumbnail(path: Path) -> str:
    """A picture as a data URI; an empty one where it can't be read any more."""
    try:
        with opened(path, at_least=_SIDE) as picture:
            small = picture.thumbnail(_SIDE)
    except ImageError:
        return "data:,"
    data = io.BytesIO()
    small.save(data, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
