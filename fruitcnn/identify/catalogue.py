"""The models that have a name here, as a person reads them."""

from pathlib import Path
from typing import Any

from fruitcnn import cells
from fruitcnn.card import ModelCard
from fruitcnn.checkpoint import ONNX
from fruitcnn.errors import FruitcnnError
from fruitcnn.models import choose_model, read_card, runs, shipped
from fruitcnn.terminal import printable

# Whose figure says most of new pictures comes first; what was held out, in folds, are training pictures.
_MEASURED = {"test": "test", "held_out": "train", "validation": "validation"}
_HEADER = ("name", "made", "accuracy", "size", "where")


def list_models() -> str:
    """A line a model: runs, the newest first, then what comes with fruitcnn; and which one answers by default."""
    rows = [_HEADER, *(_row(name, folder, printable(str(folder))) for name, folder in runs().items())]
    # Where a package manager has put it says nothing, in a hundred characters; `fruitcnn info NAME` has its path.
    rows += [_row(name, folder, "comes with fruitcnn") for name, folder in shipped().items()]
    widths = [max(map(cells.width, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(cells.padded, row, widths)).rstrip() for row in rows]
    default = choose_model()
    return "\n".join([*lines, "", f"default: {printable(default.name)} ({printable(default.why)})"])


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
