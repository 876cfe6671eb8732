"""Write a trained model as model.keras and model.onnx, each proven to agree with it before it gets its name."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from fruitcnn import checkpoint
from fruitcnn.card import METADATA_KEY, ModelCard
from fruitcnn.config import load_config
from fruitcnn.dataset.records import VALIDATION
from fruitcnn.dataset.scan import apply_split, scan
from fruitcnn.errors import ExportError, ModelError
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.files import held_folder, remove_orphans, written_whole
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import Pixels
from fruitcnn.model import keras
from fruitcnn.model.archive import check_keras_file

Probabilities = NDArray[np.float32]

# How far a probability in an exported file may lie from the trained model's.
KERAS_TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Parity:
    """How closely the exported files agree with the trained model: largest differences of a probability."""

    folder: Path
    images: int
    keras: float
    onnx: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: on {self.images} pictures all labels are equal; largest difference of a probability: "
            f"{checkpoint.KERAS} {self.keras:.1e}, {checkpoint.ONNX} {self.onnx:.1e}"
        )


def export_model(
    model: keras.Model, card: ModelCard, folder: Path, *, pixels: Pixels, reference: Probabilities
) -> Parity:
    """Write model.keras, model.onnx and card.json to `folder`, or nothing.

    model: channels_last, calibrated; pixels: uint8 [N, S, S, 3], real pictures; reference: the trained model's
    probabilities [N, C] of them. Raises ExportError where a file's labels differ from the reference's, or its
    probabilities by more than the tolerance; then no file is left.
    """
    with contextlib.ExitStack() as stack:
        keras_file = stack.enter_context(written_whole(folder / checkpoint.KERAS))
        onnx_file = stack.enter_context(written_whole(folder / checkpoint.ONNX))
        card_file = stack.enter_context(written_whole(folder / checkpoint.CARD))
        model.save(keras_file)
        graph = to_onnx(model)
        onnx.helper.set_model_props(graph, {METADATA_KEY: card.to_json()})
        onnx.save(graph, onnx_file)
        card_file.write_text(card.to_json(), encoding="utf-8")
        loaded = keras.saving.load_model(keras_file, compile=False)
        return Parity(
            folder,
            len(pixels),
            _compare(checkpoint.KERAS, keras_probabilities(loaded, pixels), reference, KERAS_TOLERANCE),
            _compare(checkpoint.ONNX, _onnx_probabilities(onnx_file, pixels), reference, ONNX_TOLERANCE),
        )


def export_checkpoint(folder: Path, *, to: Path | None = None) -> Parity:
    """Export a finished run again, into its own folder or `to`, compared on the pictures that it was validated on.

    Raises ModelError for a folder that is no finished run, DatasetError where its pictures are not what they were.
    """
    missing = [
        name
        for name in (checkpoint.KERAS, checkpoint.CARD, checkpoint.CONFIG, checkpoint.SPLIT)
        if not (folder / name).is_file()
    ]
    if missing:
        raise ModelError(f"has no {', '.join(missing)}", value=folder, remedy="give the folder of a finished run")
    config = load_config(folder / checkpoint.CONFIG)
    card_file = folder / checkpoint.CARD
    card = ModelCard.from_json(card_file.read_text(encoding="utf-8"), source=card_file)
    if config.data.path is None:
        raise ModelError("does not say where its pictures are", value=folder, remedy="set data.path in config.yaml")
    check_keras_file(folder / checkpoint.KERAS)
    try:
        model = keras.saving.load_model(folder / checkpoint.KERAS, compile=False)
    except Exception as error:
        # Keras raises what its many readers raise.
        raise ModelError(f"can't be loaded ({error})", value=folder / checkpoint.KERAS, remedy="train again") from error
    data = scan(Path(config.data.path), sizes=[card.size], share=config.data.validation_share, seed=config.seed)
    pixels = apply_split(data, folder / checkpoint.SPLIT).pixels(VALIDATION, card.size)[:]
    target = to or folder
    target.mkdir(parents=True, exist_ok=True)
    with held_folder(target):
        remove_orphans(target)
        return export_model(model, card, target, pixels=pixels, reference=keras_probabilities(model, pixels))


def keras_probabilities(model: keras.Model, pixels: Pixels) -> Probabilities:
    """Probabilities [N, C] of uint8 pixels [N, S, S, 3], from a channels_last Keras model."""
    batches = np.split(pixels, range(_BATCH, len(pixels), _BATCH))
    answers = (model.predict_on_batch(batch.astype(np.float32)) for batch in batches)
    return np.concatenate([answer[0] if isinstance(answer, list) else answer for answer in answers])


def _onnx_probabilities(file: Path, pixels: Pixels) -> Probabilities:
    identifier = Identifier.load(file)
    batches = np.split(pixels, range(_BATCH, len(pixels), _BATCH))
    return np.concatenate([identifier.probabilities(batch) for batch in batches])


def _compare(name: str, found: Probabilities, reference: Probabilities, tolerance: float) -> float:
    difference = float(np.abs(found - reference).max())
    labels = int((found.argmax(1) != reference.argmax(1)).sum())
    # Written so that a difference that is not a number fails too.
    if labels or not difference <= tolerance:
        raise ExportError(
            f"disagrees with the trained model: {labels} of {len(found)} labels differ, a probability by up to "
            f"{difference:.1e} (allowed: {tolerance:.0e}); nothing was written",
            value=name,
            remedy="report this with the recipe: it is a defect of the export",
        )
    return difference
