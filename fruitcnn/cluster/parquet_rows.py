"""Results as Parquet: the columns of CSV, with numbers as numbers, null where nothing is."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa
from pyarrow import parquet

from fruitcnn.card import FAMILIARITY, ModelCard
from fruitcnn.errors import UsageError
from fruitcnn.identify.columns import Columns
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.writers import label_column

# Rows that are held before they are written.
_TOGETHER = 1024
_METADATA = b"fruitcnn"


@dataclasses.dataclass(frozen=True)
class ParquetRows:
    """Writes and reads results with such columns; refuse_below: the familiarity below which they say `unknown`."""

    columns: Columns
    refuse_below: float = 0.0

    @classmethod
    def from_card(cls, card: ModelCard, refuse_below: float | None) -> "ParquetRows":
        """Those that a model's answers make. refuse_below: None is the card's."""
        columns = Columns(card.labels, familiarity=FAMILIARITY in card.shapes())
        return cls(columns, (card.refuse_below if refuse_below is None else refuse_below) or 0.0)

    @property
    def schema(self) -> pa.Schema:
        """file, identify_label, identify_rate, the probability of each label, familiarity, error, warning."""
        texts = ["file", "identify_label", "identify_rate"]
        numbers = [*map(label_column, self.columns.labels), *(["familiarity"] if self.columns.familiarity else [])]
        kinds = [*((name, pa.string()) for name in texts), *((name, pa.float32()) for name in numbers)]
        return pa.schema([*kinds, ("error", pa.string()), ("warning", pa.string())])

    def write(self, results: Iterable[Identification | Rejection], sink: BinaryIO, metadata: Mapping[str, Any]) -> None:
        """Write rows as they come. metadata: of the file, as JSON; read when all rows are there. Raises OSError."""
        schema, items = self.schema, iter(results)
        with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            while rows := list(itertools.islice(items, _TOGETHER)):
                writer.write_batch(self._batch(rows, schema))
            writer.add_key_value_metadata({_METADATA: json.dumps(dict(metadata)).encode()})

    def read(self, file: parquet.ParquetFile) -> Iterator[Identification | Rejection]:
        """The results that were written."""
        for batch in file.iter_batches(_TOGETHER):
            yield from map(self._result, batch.to_pylist())

    def _batch(self, rows: list[Identification | Rejection], schema: pa.Schema) -> pa.RecordBatch:
        answers = [row if isinstance(row, Identification) else None for row in rows]
        known = [dict(zip(one.labels, one.probabilities, strict=True)) if one else {} for one in answers]
        cells = [
            [_text(row.file) for row in rows],
            [one and one.identify_label for one in answers],
            [one and one.identify_rate for one in answers],
            *([one.get(label) for one in known] for label in self.columns.labels),
            *([[one and one.familiarity for one in answers]] if self.columns.familiarity else []),
            [_text(row.error) if isinstance(row, Rejection) else None for row in rows],
            [_text(one.warning) or None if one else None for one in answers],
        ]
        return pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(cells, schema, strict=True)], schema=schema
        )

    def _result(self, row: dict[str, Any]) -> Identification | Rejection:
        if row["error"] is not None:
            return Rejection(row["file"], row["error"])
        known = {label: row[label_column(label)] for label in self.columns.labels}
        kept = {label: probability for label, probability in known.items() if probability is not None}
        return Identification(
            row["file"],
            tuple(kept),
            tuple(kept.values()),
            row.get("familiarity"),
            self.refuse_below,
            warning=row["warning"] or "",
        )


def metadata_of(file: parquet.ParquetFile) -> dict[str, Any]:
    """What was written beside the rows; nothing for a file that is not ours."""
    try:
        found = json.loads((file.metadata.metadata or {}).get(_METADATA, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def binary(stream: TextIO) -> BinaryIO:
    """What is behind a text stream, for bytes. Raises UsageError where that is a terminal, or not there."""
    if stream.isatty() or not isinstance(stream, TextIOWrapper):
        raise UsageError("is no text", value="--format parquet", remedy="name a file (--output)")
    return cast(BinaryIO, stream.buffer)


def _text(text: str) -> str:
    """As CSV has it: the bytes of a file's name that are no text are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
