"""The models that have a name here, as a person reads them."""

import sys
from pathlib import Path
from typing import Any

from fruitcnn import cells
from fruitcnn.card import ModelCard
from fruitcnn.checkpoint import ONNX, ROOT
from fruitcnn.errors import FruitcnnError
from fruitcnn.models import choose_model, read_card, runs, shipped
from fruitcnn.terminal import Screen, printable

# Whose figure says most of new pictures comes first; what was held out, in folds, are training pictures.
_MEASURED = {"test": "test", "held_out": "train", "validation": "validation"}
_HEADER = ("name", "made", "accuracy", "size", "where")
# Where a package manager has put it says nothing, in a hundred characters; `fruitcnn info NAME` has its path.
_SHIPPED = "comes with fruitcnn"
_SHORTEST_NAME = 16


def list_models(screen: Screen | None = None) -> str:
    """A line a model: runs, the newest first, then what comes with fruitcnn; and which one answers by default.

    screen: the terminal that shows it, if one does: a name that has no room there is shortened.
    """
    rows = [_HEADER, *(_row(name, folder, str(ROOT)) for name, folder in runs().items())]
    rows += [_row(name, folder, _SHIPPED) for name, folder in shipped().items()]
    columns = sys.maxsize if screen is None else screen.columns - 1
    names, *widths = (max(map(cells.width, column)) + 2 for column in list(zip(*rows, strict=True))[:-1])
    names = min(names, max(_SHORTEST_NAME, columns - sum(widths) - len(_SHIPPED)))
    lines = []
    for name, *facts, where in rows:
        shown = cells.cut_in_the_middle(name, names - 2, "" if screen is None else screen.ellipsis)
        head = "".join(map(cells.padded, (shown, *facts), (names, *widths)))
        lines += cells.beside(head, where, columns)
    default = choose_model()
    said = f"default: {printable(default.name)} ({printable(default.why)})"
    return "\n".join([*lines, "", *cells.wrapped(said, columns, 2)])


def _row(name: str, folder: Path, where: str) -> tuple[str, ...]:
    size = f"{(folder / ONNX).stat().st_size / 1e6:.1f} MB"
    try:
        card = read_card(folder)
    except FruitcnnError as error:
        return printable(name), "", "", size, f"{where}: {printable(error.problem)}"
    return printable(name), printable(str(card.provenance.get("created", ""))), _accuracy(card), size, where


def _accuracy(card: ModelCard) -> str:
    """As "98.3 % of 1,575", by the pictures that say most of new ones; "" where the card does not say."""
    accuracies, images = (_numbers(card.provenance.get(key)) for key in ("accuracy", "images"))
    known = [(accuracies.get(name), images.get(split)) for name, split in _MEASURED.items()]
    return next((f"{accuracy:.1%} of {count:,}" for accuracy, count in known if accuracy is not None and count), "")


def _numbers(facts: Any) -> dict[str, float]:
    """What of a card's facts are numbers: anybody can have written it."""
    items = facts.items() if isinstance(facts, dict) else ()
    return {key: value for key, value in items if isinstance(value, int | float)}
