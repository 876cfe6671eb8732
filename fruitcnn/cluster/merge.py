"""All parts as one file: CSV, JSON lines or Parquet, row by row, whatever their number."""

from collections.abc import Iterator
from pathlib import Path

from fruitcnn.card import ModelCard
from fruitcnn.cluster.manifest import MODEL, Manifest
from fruitcnn.cluster.parquet_rows import ParquetRows, binary
from fruitcnn.cluster.parts import is_own, opened_part, part_counts, part_file, parts_there
from fruitcnn.errors import UsageError
from fruitcnn.identify.request import FORMATS
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.rows import write_rows
from fruitcnn.identify.writers import ROW_FORMATS
from fruitcnn.onnx_file import check_onnx
from fruitcnn.outputs import check_output, opened_output
from fruitcnn.progress import Progress
from fruitcnn.wording import counted


def merge(folder: Path, output: Path, *, force: bool = False) -> int:
    """Write the rows of all parts, in the order of the list, as one file by its ending; how many there are.

    Raises UsageError for a folder whose parts are not all there, for an ending that is none of .csv, .json, .jsonl,
    .ndjson and .parquet, for an output that exists, unless `force`, and for one that is a file of the folder's own;
    DatasetError for a damaged part.
    """
    format = FORMATS.get(output.suffix.lower())
    if format is None:
        raise UsageError("does not say a format", value=output, remedy=f"end it in one of {', '.join(FORMATS)}")
    manifest = Manifest.read(folder)
    ranges = list(manifest.names.ranges())
    there = parts_there(folder)
    missing = sum(there.get(low) != high for low, high in ranges)
    if missing:
        problem = f"lacks {missing:,} of {counted(len(ranges), 'part', 'parts')}"
        raise UsageError(problem, value=folder, remedy="run its identify again until all are there")
    parts = [part_file(folder, low, high) for low, high in ranges]
    if output.resolve().parent == folder.resolve() and is_own(output.resolve()):
        raise UsageError("is a name of the folder's own files", value=output, remedy="name another file")
    check_output(output, force=force, inputs=[path for path in folder.iterdir() if is_own(path)])
    card = ModelCard.from_onnx(check_onnx(folder / MODEL))
    rows = ParquetRows.from_card(card, manifest.begun.settings["refuse_below"])
    with Progress("merging parts", len(parts)) as progress, opened_output(output, force=force) as stream:
        results = _results(rows, manifest, parts, progress)
        if format == "parquet":
            rows.write(results, binary(stream), {"manifest": manifest.id})
        else:
            row_format = ROW_FORMATS[format]
            write_rows(row_format.lines(results, rows.columns), stream, row_format, progress)
    return sum(sum(part_counts(part, manifest).values()) for part in parts)


def _results(
    rows: ParquetRows, manifest: Manifest, parts: list[Path], progress: Progress
) -> Iterator[Identification | Rejection]:
    for part in parts:
        with opened_part(part, manifest) as file:
            yield from rows.read(file)
        progress.advance()
