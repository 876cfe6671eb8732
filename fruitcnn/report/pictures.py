"""The pictures of a report: small, inside the page, each of them once."""

import base64
import dataclasses
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fruitcnn.errors import ImageError
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.identify.explain import overlay
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import SCALED_MARGIN, Pixels, opened

# Long side in pixels, and JPEG quality: 3 to 4 KB a picture, so that 300 of them and their maps stay far below 5 MB.
_SIDE, _QUALITY = 128, 62
# So many pictures are in a page at most; the first that are asked for.
LIMIT = 600


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture of the page: its answer, and whether the places are shown that the answer comes from."""

    row: Prediction
    explained: bool


def picture_pool(
    shown: list[Shown], predictions: Predictions, paths: Mapping[str, Path], identifier: Identifier
) -> list[dict[str, Any]]:
    """What the page knows of each picture, ready for JSON; `src` and `map` are data URIs, None where there is none."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda one: _entry(one, predictions, paths.get(one.row.file), identifier), shown))


def _entry(one: Shown, predictions: Predictions, path: Path | None, identifier: Identifier) -> dict[str, Any]:
    row, answer = one.row, predictions.answer(one.row)
    seen = _seen(path, identifier)
    known = dict(zip(predictions.labels, row.probabilities, strict=True))
    return {
        "file": row.file,
        "src": None if seen is None else _data_uri(seen[0]),
        "map": _map(*seen, identifier, predictions.labels.index(answer)) if seen and one.explained else None,
        "label": row.label,
        "answer": answer,
        "rate": f"{known[answer]:.1%}",
        "labelRate": f"{known[row.label]:.1%}" if row.label and row.label != answer else None,
        "familiarity": None if row.familiarity is None else f"{row.familiarity:.3f}",
    }


def _seen(path: Path | None, identifier: Identifier) -> tuple[Image.Image, Pixels] | None:
    """A picture to look at, and the pixels [1, S, S, 3] that were answered; None where it can't be read any more."""
    if path is None:
        return None
    card = identifier.card
    try:
        with opened(path, at_least=SCALED_MARGIN * card.size) as picture:
            pixels = picture.pixels(card.size, rule=card.resize, filter=card.filter)
            return picture.thumbnail(_SIDE), pixels[np.newaxis]
    except ImageError:
        # It was there when it was identified; a page without it is still worth having.
        return None


def _map(image: Image.Image, pixels: Pixels, identifier: Identifier, index: int) -> str | None:
    if not identifier.has_evidence:
        return None
    return _data_uri(overlay(image, identifier.evidence(pixels)[0], index))


def _data_uri(image: Image.Image) -> str:
    text = io.BytesIO()
    image.save(text, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(text.getvalue()).decode()
