"""The model that answers, and the one that takes its place."""

import base64
import dataclasses
import io
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fruitcnn.errors import ImageError, TransientError
from fruitcnn.identify.explain import overlay, shown_picture
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.image.kinds import kind_of
from fruitcnn.server.bodies import SentPicture


@dataclasses.dataclass(frozen=True)
class Row:
    """What is said of one picture, as the command line says it in JSON, and the HTTP status if it is the only one.

    outcome: identified, unknown or rejected.
    """

    fields: dict[str, Any]
    status: HTTPStatus
    outcome: str


class ServedModel:
    """A loaded model that has answered once. Safe to share between threads."""

    def __init__(self, file: Path) -> None:
        """Raises ModelError for a model that can't be used, or does not answer as its card says."""
        # Each picture has a thread: the network needs no more.
        self.identifier = Identifier(file, threads=1)
        size = self.identifier.card.size
        self.identifier.outputs(np.zeros((1, size, size, 3), np.uint8))
        self.identity = self.identifier.identity()

    def answer(self, picture: SentPicture, top: int | None, *, explained: bool) -> Row:
        """Identify a picture, with at most `top` labels; explained: with what speaks for the answer laid over it.

        Raises ModelError where the model's answer is none.
        """
        try:
            result, overlaid = self._explained(picture.data) if explained else self._identified(picture.data)
        except ImageError as error:
            fields = Rejection.of(picture.name, error).to_dict()
            return Row(fields, _status(error, picture.data), "rejected")
        fields = dataclasses.replace(result.top(top), file=picture.name).to_dict()
        return Row(fields | overlaid, HTTPStatus.OK, "unknown" if result.is_unknown else "identified")

    def _identified(self, data: bytes) -> tuple[Identification, dict[str, str]]:
        return self.identifier.identify(data), {}

    def _explained(self, data: bytes) -> tuple[Identification, dict[str, str]]:
        ((result, image),) = self.identifier.observe_many([data], shown_picture, evidence=True)
        if isinstance(result, Rejection):
            # With its kind, which a row does not keep.
            return self._identified(data)
        assert image is not None and result.evidence is not None
        index = result.labels.index(result.likeliest_label)
        return result, {"overlay": _data_address(overlay(image, result.evidence, index))}


class Models:
    """Which model answers now: a file that may be replaced while it does."""

    def __init__(self, file: Path, current: ServedModel) -> None:
        self.file = file
        self.current = current

    def reload(self) -> None:
        """Let the file's model answer from now on. Raises what `ServedModel` raises; then all is as it was."""
        self.current = ServedModel(self.file)


def _status(error: ImageError, data: bytes) -> HTTPStatus:
    if isinstance(error, TransientError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    kind = kind_of(data[:64])
    is_known = kind is not None and kind.decoder is not None
    return HTTPStatus.UNPROCESSABLE_ENTITY if is_known else HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def _data_address(image: Image.Image) -> str:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.getbuffer()).decode()}"
