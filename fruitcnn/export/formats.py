"""Exporting by the names of formats: the checkpoint's own two files, and what follows from its model.onnx alone."""

from collections.abc import Iterator
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.errors import UsageError
from fruitcnn.export import export_checkpoint
from fruitcnn.export.golden import write_golden
from fruitcnn.export.image_graph import FILE as IMAGE
from fruitcnn.export.image_graph import write_image_graph
from fruitcnn.export.page import FOLDER as PAGE
from fruitcnn.export.page import write_page
from fruitcnn.export.smaller import read_photographs, write_fp16, write_int8

OWN = ("keras", "onnx")


def export_formats(folder: Path, formats: list[str], *, to: Path | None = None, force: bool = False) -> Iterator[str]:
    """Export a checkpoint directory in each of the formats, into itself or `to`; a line of what came out for each.
    force: overwrite the checkpoint's own files in `to`.

    Raises UsageError for an unknown format, ModelError and ExportError as the exports do.
    """
    unknown = [name for name in formats if name not in (*OWN, *_DERIVED)]
    if unknown:
        known = ", ".join((*OWN, *_DERIVED))
        raise UsageError("no such format", value=", ".join(unknown), remedy=f"choose from {known}")
    if any(name in OWN for name in formats):
        # Keras and ONNX come from one model and are proven together.
        yield from map(str, export_checkpoint(folder, to=to, force=force))
    target = to or folder
    target.mkdir(parents=True, exist_ok=True)
    model = checkpoint.find_model(folder)
    for name in formats:
        if name in _DERIVED:
            yield _DERIVED[name](model, target)


def _image(model: Path, target: Path) -> str:
    difference = write_image_graph(model, target / IMAGE)
    return f"{target / IMAGE}: as Pillow's resize and {model.name} to {difference:.1e}"


def _golden(model: Path, target: Path) -> str:
    write_golden(model, target / "golden")
    return f"{target / 'golden'}: pictures, tensors and answers of {model}"


def _int8(model: Path, target: Path) -> str:
    return str(write_int8(model, target / "int8.onnx", read_photographs(model.parent)))


def _fp16(model: Path, target: Path) -> str:
    return str(write_fp16(model, target / "fp16.onnx", read_photographs(model.parent)))


def _page(model: Path, target: Path) -> str:
    size = write_page(model, target / PAGE)
    command = f"python -m http.server --bind 127.0.0.1 --directory {target / PAGE}"
    return f"{target / PAGE}: {size / 1e6:.1f} MB for any web server; to look at it: {command}"


_DERIVED = {"image": _image, "golden": _golden, "int8": _int8, "fp16": _fp16, "page": _page}
