"""Results as text: a table for people, JSON lines and CSV for programs."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator

from fruitcnn.identify.identifier import Identification, Rejection

Results = Iterable[Identification | Rejection]


def json_lines(results: Results, labels: tuple[str, ...]) -> Iterator[str]:
    """One JSON object a line: an identification, or `file` and `error`."""
    return (json.dumps(result.to_dict(), ensure_ascii=False) + "\n" for result in results)


def csv_lines(results: Results, labels: tuple[str, ...]) -> Iterator[str]:
    """A header, then a row a picture: file, label, rate, a probability a label (empty below --top), error."""
    yield _csv_row(["file", "identify_label", "identify_rate", *labels, "error"])
    for result in results:
        if isinstance(result, Rejection):
            yield _csv_row([result.file, "", "", *("" for _ in labels), result.error])
        else:
            known = dict(zip(result.labels, result.probabilities, strict=True))
            columns = [known.get(label, "") for label in labels]
            yield _csv_row([result.file, result.identify_label, result.identify_rate, *columns, ""])


def table(results: Results, labels: tuple[str, ...]) -> Iterator[str]:
    """Aligned for reading: rate, label, file, and what else it could be, a line a picture as it is known."""
    width = max(map(len, labels))
    for result in results:
        if isinstance(result, Rejection):
            yield f"{'':>7}  {'rejected':<{width}}  {_printable(result.file)}: {_printable(result.error)}\n"
        else:
            ranked = sorted(result.prediction.items(), key=lambda item: -float(item[1][:-1]))
            others = ", ".join(f"{label} {rate}" for label, rate in ranked if label != result.identify_label)
            head = f"{result.identify_rate:>7}  {result.identify_label:<{width}}  {_printable(result.file)}"
            yield head + (f"  ({others})" if others else "") + "\n"


FORMATS: dict[str, Callable[[Results, tuple[str, ...]], Iterator[str]]] = {
    "table": table,
    "json": json_lines,
    "csv": csv_lines,
}


def _csv_row(fields: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue()


def _printable(text: str) -> str:
    # A file's name may hold line breaks and terminal control sequences; a table is for eyes only.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
