"""Write a trained model in every format, each file proven to agree with it before it gets its name."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx

from fruitcnn import checkpoint
from fruitcnn.arrays import Float32Array
from fruitcnn.card import METADATA_KEY, PROBABILITIES, ModelCard
from fruitcnn.device import on_cpu
from fruitcnn.errors import ModelError, UsageError
from fruitcnn.export.gate import Parity, Tolerance, compare, compare_others
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.export.reference import Reference, measure_reference
from fruitcnn.identify.identifier import Identifier
from fruitcnn.image import Pixels
from fruitcnn.locks import held_folder
from fruitcnn.model import keras
from fruitcnn.model.archive import check_keras_file
from fruitcnn.outputs import remove_temporaries, written_together
from fruitcnn.runtime import batches

__all__ = [
    "FORMATS", "Parity", "Reference", "check_free", "export_checkpoint", "export_model", "keras_outputs",
    "measure_reference",
]  # fmt: skip

# By name.
Outputs = dict[str, Float32Array]
_BATCH = 64


def _save_keras(model: keras.Model, card: ModelCard, file: Path) -> None:
    model.save(file)


def _save_onnx(model: keras.Model, card: ModelCard, file: Path) -> None:
    graph = to_onnx(model)
    onnx.helper.set_model_props(graph, {METADATA_KEY: card.to_json()})
    onnx.save(graph, file)


def _ask_keras(file: Path, pixels: Pixels) -> Outputs:
    return keras_outputs(keras.saving.load_model(file, compile=False), pixels)


def _ask_onnx(file: Path, pixels: Pixels) -> Outputs:
    return Identifier.load(file).outputs(pixels)


@dataclasses.dataclass(frozen=True)
class Format:
    """One file of a checkpoint: how it is written, how it is asked, how far it may be off."""

    name: str
    save: Callable[[keras.Model, ModelCard, Path], None]
    ask: Callable[[Path, Pixels], Outputs]
    tolerance: Tolerance


FORMATS = (
    Format(checkpoint.KERAS, _save_keras, _ask_keras, Tolerance(logit=1e-5, probability=1e-5)),
    Format(checkpoint.ONNX, _save_onnx, _ask_onnx, Tolerance(logit=1e-4, probability=1e-4)),
)
_WRITTEN = (*(format.name for format in FORMATS), checkpoint.CARD, checkpoint.REFERENCE)


def export_model(model: keras.Model, card: ModelCard, folder: Path, *, reference: Reference) -> list[Parity]:
    """Write model.keras, model.onnx, card.json and reference.npz to `folder`, or nothing.

    model: what `answer_model` makes. Returns how closely each format agrees with the reference. Raises ExportError
    where one differs by more than its tolerance, ModelError where card, reference and model don't fit together.
    """
    _check_same_model(model, card, reference)
    with contextlib.ExitStack() as stack:
        stack.enter_context(on_cpu())
        temporaries = stack.enter_context(written_together(*(folder / name for name in _WRITTEN)))
        files = dict(zip(_WRITTEN, temporaries, strict=True))
        for format in FORMATS:
            format.save(model, card, files[format.name])
        files[checkpoint.CARD].write_text(card.to_json(), encoding="utf-8")
        reference.save(files[checkpoint.REFERENCE])
        answers = {format.name: format.ask(files[format.name], reference.pixels) for format in FORMATS}
        parities = [
            compare(format.name, answers[format.name][PROBABILITIES], reference, format.tolerance) for format in FORMATS
        ]
        compare_others(answers)
        return parities


def _check_same_model(model: keras.Model, card: ModelCard, reference: Reference) -> None:
    """Labels, size and outputs must be the same everywhere."""
    outputs = [output["name"] for output in card.outputs]
    facts = {
        "labels": (card.labels, reference.labels),
        "size": ((card.size, card.size, 3), tuple(model.inputs[0].shape[1:])),
        "size of the reference pictures": ((card.size, card.size, 3), reference.pixels.shape[1:]),
        "outputs": (sorted(outputs), sorted(model.output_names)),
        "number of labels": (len(card.labels), model.outputs[_probabilities_place(model)].shape[-1]),
    }
    for what, (said, found) in facts.items():
        if said != found:
            raise ModelError(
                f"{what}: the card says {said}, the model has {found}",
                value=checkpoint.CARD,
                remedy="restore the card that was written with the model, or train again",
            )


def export_checkpoint(folder: Path, *, to: Path | None = None, force: bool = False) -> list[Parity]:
    """Export a finished run again, into its own folder or `to`, compared with its reference pictures.

    force: overwrite files in `to` that exist. Raises ModelError for a folder that is no finished run or whose files
    don't fit together, UsageError for files that would be overwritten, ExportError.
    """
    needed = (checkpoint.KERAS, checkpoint.CARD, checkpoint.REFERENCE)
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"has no {', '.join(missing)}", value=folder, remedy="give the folder of a finished run")
    target = folder if to is None else to
    check_free(target, _WRITTEN, own=folder, force=force)
    card_file = folder / checkpoint.CARD
    try:
        card = ModelCard.from_json(card_file.read_text(encoding="utf-8"), source=card_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"can't be read ({error})", value=card_file, remedy="restore it, or train again") from error
    reference = Reference.load(folder / checkpoint.REFERENCE)
    check_keras_file(folder / checkpoint.KERAS)
    with on_cpu(), contextlib.ExitStack() as stack:
        try:
            model = keras.saving.load_model(folder / checkpoint.KERAS, compile=False)
        except Exception as error:
            # Keras raises what its many readers raise.
            file = folder / checkpoint.KERAS
            raise ModelError(f"can't be loaded ({error})", value=file, remedy="train again") from error
        target.mkdir(parents=True, exist_ok=True)
        stack.enter_context(held_folder(target))
        remove_temporaries(target)
        return export_model(model, card, target, reference=reference)


def check_free(target: Path, names: Iterable[str], *, own: Path, force: bool) -> None:
    """Raise UsageError where files of these names would be overwritten elsewhere than in the model's `own` folder."""
    if not target.exists() or target.samefile(own):
        return
    if not target.is_dir():
        raise UsageError("is not a folder", value=target, remedy="name a folder, existing or new")
    there = [name for name in names if (target / name).exists()]
    if there and not force:
        raise UsageError(
            f"holds {', '.join(there)} already", value=target, remedy="name another folder, or add --force"
        )


def keras_outputs(model: keras.Model, pixels: Pixels) -> Outputs:
    """All outputs, by name, of uint8 pixels [N, S, S, 3]; from a channels_last Keras model."""
    with on_cpu():
        found = [
            keras.tree.flatten(model.predict_on_batch(batch.astype(np.float32))) for batch in batches(pixels, _BATCH)
        ]
    return dict(zip(model.output_names, map(np.concatenate, zip(*found, strict=True)), strict=True))


def _probabilities_place(model: keras.Model) -> int:
    names = list(model.output_names)
    if PROBABILITIES not in names:
        raise ModelError(f"has outputs {names}, no {PROBABILITIES}", value=model.name, remedy="use answer_model")
    return names.index(PROBABILITIES)
