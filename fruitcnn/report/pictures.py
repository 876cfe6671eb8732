"""The pictures of a report, inside the page, each of them once."""

import base64
import dataclasses
from typing import Any

from fruitcnn.evaluation.album import Album, key_of
from fruitcnn.evaluation.predictions import Prediction, Predictions

# So many pictures are in a page at most; the first that are asked for.
LIMIT = 600


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture of the page: its answer, and whether the places are shown that the answer comes from."""

    row: Prediction
    explained: bool


def picture_pool(shown: list[Shown], predictions: Predictions, album: Album) -> list[dict[str, Any]]:
    """What the page knows of each picture, ready for JSON; `src` and `map` are data URIs, None where there is none."""
    album.fill((key_of(one.row), one.explained) for one in shown)
    return [_entry(one, predictions, album) for one in shown]


def _entry(one: Shown, predictions: Predictions, album: Album) -> dict[str, Any]:
    row, answer = one.row, predictions.answer(one.row)
    known = dict(zip(predictions.labels, row.probabilities, strict=True))
    return {
        "file": row.file,
        "src": _data_uri(album.picture(key_of(row))),
        "map": _data_uri(album.explained(key_of(row))) if one.explained else None,
        "label": row.label,
        "answer": answer,
        "rate": f"{known[answer]:.1%}",
        "labelRate": f"{known[row.label]:.1%}" if row.label and row.label != answer else None,
        "familiarity": None if row.familiarity is None else f"{row.familiarity:.3f}",
    }


def _data_uri(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
