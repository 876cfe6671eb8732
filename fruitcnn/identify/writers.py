"""Results as text: a table for people, JSON lines and CSV for programs."""

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator

from fruitcnn.identify.columns import Columns
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.table import table

# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = frozenset({"file", "identify_label", "identify_rate", "familiarity", "error", "warning"})
_PREFIX = "probability_"

Results = Iterable[Identification | Rejection]


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """lines: from results to text. encoding_errors: how a character that the stream's encoding lacks is escaped."""

    lines: Callable[[Results, Columns], Iterator[str]]
    encoding_errors: str


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


def _json_escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


codecs.register_error("fruitcnn.json", _json_escape)
ROW_FORMATS = {
    "table": RowFormat(table, "backslashreplace"),
    "json": RowFormat(json_lines, "fruitcnn.json"),
    "csv": RowFormat(csv_lines, "backslashreplace"),
    "spreadsheet": RowFormat(spreadsheet_lines, "backslashreplace"),
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
