"""A picture with what spoke for an answer laid over it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fruitcnn.errors import UsageError
from fruitcnn.identify.identifier import Identification, Identifier
from fruitcnn.image import Source, load_pixels, opened
from fruitcnn.outputs import written_whole

# Long side of an explained picture, in pixels.
_SIDE = 1024
_FOR, _AGAINST = (255, 120, 0), (0, 90, 255)
# How much of a pixel the strongest evidence covers: what lies under it has to stay recognisable.
_COVER = 0.6


def overlay(image: Image.Image, evidence: NDArray[np.floating[Any]], index: int) -> Image.Image:
    """`image` (RGB) with orange where evidence [C, h, w] speaks for class `index`, and blue where it speaks against it.

    For and against is counted from the mean of all classes, since only differences of logits decide. The strongest
    place gets the full colour.
    """
    places = evidence[index] - evidence.mean(axis=0)  # [h, w]
    strength = places / max(float(np.abs(places).max()), 1e-9)
    # The bicubic filter can overshoot.
    smooth = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    cover = np.clip(np.asarray(smooth), -1, 1)[..., None] * _COVER  # [H, W, 1]
    colour = np.where(cover > 0, np.array(_FOR), np.array(_AGAINST))
    # In grey, the colours of the fruit can't be taken for evidence.
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    share = np.abs(cover)
    return Image.fromarray((grey * (1 - share) + colour * share).round().astype(np.uint8))


class Explainer:
    """Writes explained pictures into a folder of its own: new or empty, so that it can't cost a file."""

    def __init__(self, folder: Path, identifier: Identifier) -> None:
        if not identifier.has_evidence:
            problem = "its network does not say where its answers come from"
            raise UsageError(problem, value=identifier.file, remedy="leave out --explain, or use another model")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError("is not an empty folder", value=folder, remedy="name a new one (--explain)")
        if not folder.absolute().parent.is_dir():
            raise UsageError("no such folder", value=folder.parent, remedy="make it first")
        folder.mkdir(exist_ok=True)
        self.folder, self.identifier = folder, identifier
        self._taken: set[str] = set()

    def write(self, source: Source, result: Identification) -> Path:
        """Write the picture with what spoke for its likeliest label; named after its file, numbered where needed."""
        card = self.identifier.card
        pixels = load_pixels(source, card.size, rule=card.resize, filter=card.filter)
        evidence = self.identifier.evidence(pixels[np.newaxis])[0]
        likeliest = result.labels[int(np.argmax(result.probabilities))]
        with opened(source, at_least=_SIDE) as picture:
            image = picture.thumbnail(_SIDE)
        path = self.folder / self._name(result.file)
        with written_whole(path) as temporary:
            overlay(image, evidence, card.labels.index(likeliest)).save(temporary, quality=90)
        return path

    def _name(self, file: str) -> str:
        # Short enough for a number, whatever the file system's limit was for the picture.
        stem = Path(file).stem[:60] or "picture"
        number, name = 1, f"{stem}.jpg"
        # Some file systems take no notice of letter case.
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}.jpg"
        self._taken.add(name.casefold())
        return name
