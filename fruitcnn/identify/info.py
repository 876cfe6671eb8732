"""The model card as a person reads it."""

import itertools
import json
import sys

from fruitcnn import cells
from fruitcnn.card import ModelCard
from fruitcnn.errors import shortened
from fruitcnn.identify.identifier import Identifier
from fruitcnn.models import choose_model
from fruitcnn.terminal import Screen, printable
from fruitcnn.wording import counted

# Characters of a line's name and of its value; a card may hold anything.
_LONGEST_NAME, _LONGEST_VALUE = 40, 1000


def describe(model: str | None = None, screen: Screen | None = None) -> str:
    """A readable description of a model (None: the default), from the card in its ONNX file. Raises ModelError.

    Which model it is, is said on standard error where that was not plain. screen: the terminal that shows it, if any.
    """
    choice = choose_model(model)
    choice.tell("showing", by_option=False)
    file = choice.file
    card = Identifier.load(file, once=True).card
    outputs = {output["name"] for output in card.outputs}
    own = {
        "model": f"{file} ({file.stat().st_size / 1e6:.1f} MB)",
        "labels": card.labels_shown(),
        "input": f"image: float32 [batch, 3, {card.size}, {card.size}], RGB, 0..255",
        "resize": f"{card.resize}, {card.filter}",
        "output": f"probabilities: float32 [batch, {len(card.labels)}]",
        **({} if card.refuse_below is None else {"unknown": _unknown(card, card.refuse_below)}),
        **({"evidence": "where each answer comes from"} if "evidence" in outputs else {}),
        "calibration": f"temperature {card.temperature:.3f}, already in the weights",
    }
    rows = [*own.items(), *(_provenance_row(key, value, taken=set(own)) for key, value in card.provenance.items())]
    names = [printable(shortened(name, _LONGEST_NAME)) for name, _ in rows]
    width = min(max(map(cells.width, names)), _LONGEST_NAME)
    values = (printable(shortened(value, _LONGEST_VALUE)) for _, value in rows)
    columns = sys.maxsize if screen is None else screen.columns - 1
    heads = (cells.padded(name, width + 2) for name in names)
    lines = (cells.beside(head, value, columns) for head, value in zip(heads, values, strict=True))
    return "\n".join(itertools.chain.from_iterable(lines))


def _unknown(card: ModelCard, below: float) -> str:
    """When the model says so, and how many pictures of its classes that meets."""
    text, promised = f"below a familiarity of {below:g}", card.refuses_members
    if promised is None:
        return text
    known = card.calibrated_on
    calibrated = "" if known is None else f" (calibrated on {counted(known, 'picture', 'pictures')})"
    few = f", because so few can't promise {below:.1%}" if promised > below else ""
    return f"{text}: at most {promised:.1%} of new pictures of its classes{calibrated}{few}"


def _provenance_row(key: str, value: object, *, taken: set[str]) -> tuple[str, str]:
    """What the card says of the training; it can't be taken for what was found out here."""
    name = key.replace("_", " ").strip()
    text = value if isinstance(value, str) else _readable(value)
    return f"{name} (says the card)" if name in taken else name, text


def _readable(value: object) -> str:
    """Numbers as people read them, alone or with a name each; all else as JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        return json.dumps(value)
    if isinstance(value, dict):
        return ", ".join(f"{str(name).replace('_', ' ')} {_readable(number)}" for name, number in value.items())
    return f"{value:,}"
