"""Exporting by the names of formats: the checkpoint's own two files, and what follows from its model.onnx alone."""

from collections.abc import Iterator
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.browser.site import FOLDER as PAGE
from fruitcnn.browser.site import write_site
from fruitcnn.errors import UsageError
from fruitcnn.export import check_free, export_checkpoint
from fruitcnn.export.golden import write_golden
from fruitcnn.export.image_graph import FILE as IMAGE
from fruitcnn.export.image_graph import write_image_graph
from fruitcnn.export.smaller import read_photographs, write_fp16, write_int8

OWN = ("keras", "onnx")


def export_formats(folder: Path, formats: list[str], *, to: Path | None = None, force: bool = False) -> Iterator[str]:
    """Export a checkpoint directory in each of the formats, into itself or `to`; a line of what came out for each.

    force: overwrite what is in `to` already. Raises UsageError for an unknown format and for what would be overwritten,
    ModelError and ExportError as the exports do.
    """
    unknown = [name for name in formats if name not in (*OWN, *_DERIVED)]
    if unknown:
        known = ", ".join((*OWN, *_DERIVED))
        raise UsageError("no such format", value=", ".join(unknown), remedy=f"choose from {known}")
    target = to or folder
    check_free(target, (_DERIVED[name][0] for name in formats if name in _DERIVED), own=folder, force=force)
    if any(name in OWN for name in formats):
        # Keras and ONNX come from one model and are proven together.
        yield from map(str, export_checkpoint(folder, to=to, force=force))
    target.mkdir(parents=True, exist_ok=True)
    model = checkpoint.find_model(folder)
    for name in formats:
        if name in _DERIVED:
            file, write = _DERIVED[name]
            yield write(model, target / file)


def _image(model: Path, file: Path) -> str:
    return f"{file}: as Pillow's resize and {model.name} to {write_image_graph(model, file):.1e}"


def _golden(model: Path, folder: Path) -> str:
    write_golden(model, folder)
    return f"{folder}: pictures, tensors and answers of {model}"


def _int8(model: Path, file: Path) -> str:
    return str(write_int8(model, file, read_photographs(model.parent)))


def _fp16(model: Path, file: Path) -> str:
    return str(write_fp16(model, file, read_photographs(model.parent)))


def _page(model: Path, folder: Path) -> str:
    size = write_site(model, folder)
    command = f"python -m http.server --bind 127.0.0.1 --directory {folder}"
    return f"{folder}: {size / 1e6:.1f} MB for any web server; to look at it: {command}"


# What each is called, and what writes it.
_DERIVED = {
    "image": (IMAGE, _image),
    "golden": ("golden", _golden),
    "int8": ("int8.onnx", _int8),
    "fp16": ("fp16.onnx", _fp16),
    "page": (PAGE, _page),
}
