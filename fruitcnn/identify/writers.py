"""Results as text: a table for people, JSON lines and CSV for programs."""

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from fruitcnn.identify.columns import Columns
from fruitcnn.identify.results import UNKNOWN, Identification, Rejection
from fruitcnn.identify.table import table
from fruitcnn.identify.tally import IDENTIFIED, REJECTED

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = frozenset({"file", "identify_label", "identify_rate", "familiarity", "error", "warning"})
_PREFIX = "probability_"

Results = Iterable[Identification | Rejection]


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """lines: from results to text. encoding_errors: how a character that the stream's encoding lacks is escaped.

    kind: of the picture that a row of a file is about, as a Tally counts it; ValueError or LookupError for what is no
    row. whole_rows: the rows in the bytes of a file, without one that was not written to its end. has_header: whether
    the first of them is one.
    """

    lines: Callable[[Results, Columns], Iterator[str]]
    encoding_errors: str
    kind: Callable[[str], str]
    whole_rows: Callable[[BinaryIO], Iterator[bytes]]
    has_header: bool = False


def json_lines(results: Results, columns: Columns) -> Iterator[str]:
    """One JSON object a line: an identification, or `file` and `error`; and who answered, where that is asked for."""
    more = {} if columns.model is None else {"model": columns.model}
    return (json.dumps(result.to_dict() | more, ensure_ascii=False, allow_nan=False) + "\n" for result in results)


def csv_lines(results: Results, columns: Columns) -> Iterator[str]:
    """A header, then a row a picture: file, label, rate, a probability a label (empty below --top), error, warning.

    Where the model says how familiar a picture is, a column of it stands before the error. Cells are what they are, for
    programs: one that begins with = + - or @ is a formula to a spreadsheet, for which there is `spreadsheet_lines`. The
    column of a label that is named like another column begins with `probability_`.
    """
    labels, more = columns.labels, ["familiarity"] if columns.familiarity else []
    yield _csv_row(["file", "identify_label", "identify_rate", *map(label_column, labels), *more, "error", "warning"])
    for result in results:
        if isinstance(result, Rejection):
            yield _csv_row([result.file, "", "", *("" for _ in (*labels, *more)), result.error, ""])
        else:
            known = dict(zip(result.labels, result.probabilities, strict=True))
            cells = [*(known.get(label, "") for label in labels), *(result.familiarity for _ in more)]
            yield _csv_row([result.file, result.identify_label, result.identify_rate, *cells, "", result.warning])


def spreadsheet_lines(results: Results, columns: Columns) -> Iterator[str]:
    """The same for a spreadsheet: what it would take for a formula begins with an apostrophe."""
    for line in csv_lines(results, columns):
        (row,) = csv.reader([line])
        yield _csv_row([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row])


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return (line for line in file if line.endswith(b"\n"))


def _csv_rows(file: BinaryIO) -> Iterator[bytes]:
    """Names of files may have line breaks, which stand between quotes then."""
    row = b""
    for line in file:
        row += line
        if line.endswith(b"\n") and row.count(b'"') % 2 == 0:
            yield row
            row = b""


def _kind_in_table(row: str) -> str:
    # Only what was identified has a rate in front.
    return row.split(maxsplit=1)[0] if row.startswith(" " * 9) else IDENTIFIED


def _kind_in_json(row: str) -> str:
    found = json.loads(row)
    return REJECTED if "error" in found else UNKNOWN if found["identify_label"] == UNKNOWN else IDENTIFIED


def _kind_in_csv(row: str) -> str:
    _, label, *_, error, _ = next(csv.reader(io.StringIO(row, newline="")))
    return REJECTED if error else UNKNOWN if label == UNKNOWN else IDENTIFIED


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


codecs.register_error("fruitcnn.json", _json_escape)
ROW_FORMATS = {
    "table": RowFormat(table, "backslashreplace", _kind_in_table, _lines),
    "json": RowFormat(json_lines, "fruitcnn.json", _kind_in_json, _lines),
    "csv": RowFormat(csv_lines, "backslashreplace", _kind_in_csv, _csv_rows, has_header=True),
    "spreadsheet": RowFormat(spreadsheet_lines, "backslashreplace", _kind_in_csv, _csv_rows, has_header=True),
}


def label_column(label: str) -> str:
    """A label's own name, but where that is a column's, or such a name that was escaped."""
    bare = label
    while bare.startswith(_PREFIX):
        bare = bare.removeprefix(_PREFIX)
    return _PREFIX + label if bare in _COLUMNS else label


def _csv_row(fields: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()
