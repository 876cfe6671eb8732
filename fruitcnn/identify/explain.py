"""A picture with what spoke for an answer laid over it."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from fruitcnn.arrays import FloatArray
from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Identification
from fruitcnn.image import Picture
from fruitcnn.names import free_name
from fruitcnn.outputs import make_own_folder, written_whole

# Long side of an explained picture, in pixels.
_SIDE = 1024
_FOR, _AGAINST = (255, 120, 0), (0, 90, 255)
# How much of a pixel the strongest evidence covers: what lies under it has to stay recognisable.
_COVER = 0.6


def overlay(image: Image.Image, evidence: FloatArray, index: int) -> Image.Image:
    """`image` (RGB) with orange where evidence [C, h, w] speaks for class `index`, blue where it speaks against."""
    return shade(image, evidence_for(evidence, index))


def evidence_for(evidence: FloatArray, index: int) -> FloatArray:
    """Where evidence [C, h, w] speaks for class `index` (above 0) and against it: [h, w].

    Counted from the mean of all classes, since only differences of logits decide.
    """
    places: FloatArray = evidence[index] - evidence.mean(axis=0)
    return places


def shade(image: Image.Image, places: FloatArray) -> Image.Image:
    """`image` (RGB) in grey, orange where `places` [h, w] is above 0 and blue below: the strongest in full colour."""
    strength = places / max(float(np.abs(places).max()), 1e-9)
    # The bicubic filter can overshoot.
    smooth = Image.fromarray(strength.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    cover = np.clip(np.asarray(smooth), -1, 1)[..., None] * _COVER  # [H, W, 1]
    colour = np.where(cover > 0, np.array(_FOR), np.array(_AGAINST))
    # In grey, the colours of the fruit can't be taken for evidence.
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    opacity = np.abs(cover)
    return Image.fromarray((grey * (1 - opacity) + colour * opacity).round().astype(np.uint8))


def shown_picture(data: bytes, picture: Picture) -> Image.Image:
    """What an answered picture's explanation is drawn on; an `Observer`."""
    return picture.thumbnail(_SIDE)


class Explainer:
    """Writes explained pictures into a folder of its own: new or empty, so that it can't cost a file."""

    def __init__(self, folder: Path, identifier: Identifier) -> None:
        if not identifier.has_evidence:
            problem = "its network does not say where its answers come from"
            raise UsageError(problem, value=identifier.file, remedy="leave out --explain, or use another model")
        make_own_folder(folder, option="--explain")
        self._folder, self._labels = folder, identifier.card.labels
        self._taken: set[str] = set()

    def write(self, image: Image.Image, result: Identification) -> None:
        """Write `image` with what spoke for its likeliest label; named after its file, numbered where needed.

        result: with its evidence. Raises FruitcnnError where it can't be written.
        """
        assert result.evidence is not None
        explained = overlay(image, result.evidence, self._labels.index(result.likeliest_label))
        encoded = io.BytesIO()
        explained.save(encoded, "JPEG", quality=90)
        try:
            with written_whole(self._folder / self._name(result.file), replace=False) as temporary:
                # Not by Pillow: it takes no notice of a write that a full disk has cut short.
                temporary.write_bytes(encoded.getbuffer())
        except OSError as error:
            # Named here: further out it would be taken for one of the command's own output.
            raise system_error(error, FruitcnnError) from error

    def _name(self, file: str) -> str:
        return free_name(f"{Path(file).stem or 'picture'}.jpg", self._taken)
