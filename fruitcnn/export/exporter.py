"""Writing a trained model in formats: each file is proven before it gets its name."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.card import PROBABILITIES, ModelCard
from fruitcnn.errors import ExportError, ModelError, UsageError, system_error
from fruitcnn.export.folder_formats import check_folder, exported_folder
from fruitcnn.export.formats import Format, choose_formats, left_out, load_function, of_every_run
from fruitcnn.export.gate import Gate, Parity
from fruitcnn.export.reference import Reference
from fruitcnn.export.source import KerasSource, OnnxSource, TrainedSource
from fruitcnn.extras import naming_extras, require_extras, require_packages
from fruitcnn.locks import held_folder
from fruitcnn.models import find_model, find_run, shipped
from fruitcnn.onnx_file import read_graph
from fruitcnn.outputs import check_inputs_stay, written_together, written_whole
from fruitcnn.regular_files import open_regular
from fruitcnn.temporaries import remove_temporaries

# What is written beside the formats that are made from the trained network.
_BESIDE = (checkpoint.CARD, checkpoint.REFERENCE)


def export_run(source: TrainedSource, folder: Path) -> list[Parity]:
    """Write the formats of every run, but what is `left_out`, to `folder`, with the card and the reference; or nothing.

    Returns how closely each file agrees. Raises ExportError where one differs by more than its tolerance, ModelError
    where card, reference and model don't fit together.
    """
    formats = [format for format in of_every_run() if format not in left_out()]
    parities = _export_trained([format for format in formats if not format.is_derived], source, folder)
    derived = [format for format in formats if format.is_derived]
    return [*parities, *_export_derived(derived, folder / checkpoint.ONNX, folder)]


@naming_extras()
def export_checkpoint(
    folder: str | os.PathLike[str],
    *,
    formats: Sequence[str] | None = None,
    to: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> list[Parity]:
    """Export a finished run again. Each file is compared with the trained model before it gets its name.

    Args:
        folder: A FinishedRun, a checkpoint directory, or the name of a model.
        formats: The names of formats, which `fruitcnn export --help` lists. None takes the formats of every run for
            which the packages are installed.
        to: The folder to write to. The default is the run's own.
        force: Overwrite files of these names that are in `to`.

    Returns:
        How closely each file agrees.

    Raises:
        DatasetError: A format needs the pictures of the run, and they are not there.
        ExportError: A file does not agree with the trained model.
        ModelError: The folder is no finished run, or its files don't fit together.
        UsageError: A format is unknown, its packages are missing, or a file would be overwritten.

    Example:
        >>> for parity in fruitcnn.export_checkpoint("mine", formats=["onnx"], to="exported"):
        ...     print(parity)
    """
    return list(export_formats(Path(folder), formats, to=None if to is None else Path(to), force=force))


def export_formats(
    folder: Path, formats: Sequence[str] | None = None, *, to: Path | None = None, force: bool = False
) -> Iterator[Parity]:
    """As `export_checkpoint`, one result after the other; what is done stays where a later format fails."""
    of_all = [format for format in of_every_run() if format not in left_out()]
    chosen = of_all if formats is None else choose_formats(formats)
    require_extras("features")
    require_packages(package for format in chosen for package in format.needs)
    trained = [format for format in chosen if not format.is_derived]
    derived = [format for format in chosen if format.is_derived]
    named, folder = folder, find_run(folder)
    if to is None and folder != named and folder in shipped().values():
        raise UsageError("comes with fruitcnn", value=named, remedy="name a folder to write to (--to)")
    own = folder if folder.is_dir() else folder.parent
    target = own if to is None else to
    if trained:
        # These come from one model and are proven together.
        trained += [format for format in of_all if not format.is_derived and format not in trained]
    names = [format.file for format in (*trained, *derived)] + ([*_BESIDE] if trained else [])
    replace = force or _is_same(target, own)
    _check_free(target, names, own=own, replace=replace)
    for format in derived:
        if format.is_folder:
            check_folder(format, target / format.file, force=force)
    if trained:
        yield from _export_again(trained, folder, target, replace=replace)
    if derived:
        yield from _export_derived(derived, find_model(folder), target, replace=replace, force=force)


def _export_again(formats: Sequence[Format], folder: Path, target: Path, *, replace: bool) -> list[Parity]:
    """From the files of a finished run."""
    missing = [name for name in _BESIDE if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"has no {', '.join(missing)}", value=folder, remedy="give the folder of a finished run")
    card = _read_card(folder / checkpoint.CARD)
    source = _source_of(folder, card, Gate(Reference.load(folder / checkpoint.REFERENCE, size=card.size)))
    target.mkdir(parents=True, exist_ok=True)
    with held_folder(target):
        remove_temporaries(target)
        return _export_trained(formats, source, target, replace=replace)


def _read_card(file: Path) -> ModelCard:
    try:
        with open_regular(file) as opened:
            return ModelCard.from_json(opened.read().decode("utf-8"), source=file)
    except UnicodeDecodeError as error:
        raise ModelError(f"can't be read ({error})", value=file, remedy="restore it, or train again") from error
    except OSError as error:
        raise system_error(error, ModelError, value=file) from error


def _source_of(folder: Path, card: ModelCard, gate: Gate) -> TrainedSource:
    """A last layer on the network that comes with fruitcnn has all in model.onnx; of the others model.keras has it."""
    from fruitcnn.features.source import FeaturesSource, has_keras_twin

    onnx_file, keras_file = folder / checkpoint.ONNX, folder / checkpoint.KERAS
    if onnx_file.is_file() and has_keras_twin(graph := read_graph(onnx_file), card):
        return FeaturesSource(graph, card, gate)
    if not keras_file.is_file():
        raise ModelError(f"has no {checkpoint.KERAS}", value=folder, remedy="give the folder of a finished run")
    from fruitcnn.device import on_cpu
    from fruitcnn.model.archive import load_keras

    with on_cpu():
        return KerasSource(load_keras(keras_file), card, gate)


def _export_trained(
    formats: Sequence[Format], source: TrainedSource, folder: Path, *, replace: bool = True
) -> list[Parity]:
    """All of them, with card and reference, or none. replace: what has these names already; else FileExistsError."""
    _check_same_model(source)
    names = [*(format.file for format in formats), *_BESIDE]
    with written_together(*(folder / name for name in names), replace=replace) as temporaries:
        files = dict(zip(names, temporaries, strict=True))
        for format in formats:
            load_function(format.write)(source, files[format.file])
        files[checkpoint.CARD].write_text(source.card.to_json(), encoding="utf-8")
        source.gate.reference.save(files[checkpoint.REFERENCE])
        return [_prove(format, source, files[format.file]) for format in formats]


def _export_derived(
    formats: Iterable[Format], model: Path, target: Path, *, replace: bool = True, force: bool = False
) -> Iterator[Parity]:
    """One after the other, each whole or not at all. force: of folders, what `replace` is of files."""
    source = OnnxSource(model)
    for format in formats:
        # Read first, because a model without a card is none of ours.
        assert source.card
        target.mkdir(parents=True, exist_ok=True)
        remove_temporaries(target)
        path = target / format.file
        written = (
            exported_folder(format, path, force=force) if format.is_folder else written_whole(path, replace=replace)
        )
        with written as place:
            load_function(format.write)(source, place)
            parity = _prove(format, source, place)
        # What it says of its place is of the one that it has got.
        yield dataclasses.replace(parity, details=parity.details.replace(str(place), str(path)))


def _prove(format: Format, source: TrainedSource | OnnxSource, place: Path) -> Parity:
    # While it is proven a file has a temporary name.
    try:
        parity: Parity = load_function(format.prove)(source, place)
    except ExportError as error:
        raise ExportError(error.problem, value=format.file, remedy=error.remedy) from error
    return dataclasses.replace(parity, name=format.file)


def _check_same_model(source: TrainedSource) -> None:
    """Labels, size and outputs must be the same everywhere."""
    card, reference, found = source.card, source.gate.reference, source.outputs
    if PROBABILITIES not in found:
        problem = f"has outputs {list(found)}, no {PROBABILITIES}"
        raise ModelError(problem, value=checkpoint.CARD, remedy="use answer_model")
    facts = {
        "labels": (card.labels, reference.labels),
        "size": (card.size, source.size),
        "size of the reference pictures": ((card.size, card.size, 3), reference.pixels.shape[1:]),
        "outputs": (sorted(output["name"] for output in card.outputs), sorted(found)),
        "number of labels": (len(card.labels), found[PROBABILITIES][0]),
    }
    for what, (said, there) in facts.items():
        if said != there:
            raise ModelError(
                f"{what}: the card says {said}, the model has {there}",
                value=checkpoint.CARD,
                remedy="restore the card that was written with the model, or train again",
            )


def _is_same(target: Path, own: Path) -> bool:
    return target.exists() and own.exists() and target.samefile(own)


def _check_free(target: Path, names: Sequence[str], *, own: Path, replace: bool) -> None:
    """Raise UsageError where files of these names would be overwritten elsewhere than in the model's `own` folder."""
    if not target.exists() or _is_same(target, own):
        return
    if not target.is_dir():
        raise UsageError("is not a folder", value=target, remedy="name a folder, existing or new")
    there = [name for name in names if os.path.lexists(target / name)]
    if there and not replace:
        raise UsageError(
            f"holds {', '.join(there)} already", value=target, remedy="name another folder, or add --force"
        )
    check_inputs_stay([target / name for name in names], [own / name for name in checkpoint.FILES])
