"""Results as a table for people: whole in a file or a pipe, fitted to the screen on a terminal."""

from collections.abc import Iterable, Iterator

from fruitcnn import cells
from fruitcnn.errors import shortened
from fruitcnn.identify.columns import Columns
from fruitcnn.identify.results import UNKNOWN, Identification, Rejection
from fruitcnn.identify.tally import REJECTED
from fruitcnn.terminal import Screen, printable

# Characters of a label.
_LONGEST_LABEL = 60
# Columns of `100.00%`, and of `familiarity 0.123`.
_RATE, _FAMILIARITY = 7, 17
_SHORTEST_NAME = 16
_GREEN, _YELLOW, _RED, _FAINT = 32, 33, 31, 2


def table(results: Iterable[Identification | Rejection], columns: Columns) -> Iterator[str]:
    """A line a picture as it is known: rate, answer, file, and what else it could be."""
    shown = {label: printable(shortened(label, _LONGEST_LABEL)) for label in (*columns.labels, UNKNOWN, REJECTED)}
    if columns.screen is None:
        return _plain(results, shown)
    return _Screenful(columns.screen, shown, columns.longest_name).lines(results)


def _plain(results: Iterable[Identification | Rejection], shown: dict[str, str]) -> Iterator[str]:
    width = max(map(cells.width, shown.values()))
    for result in results:
        file = printable(result.file)
        if isinstance(result, Rejection):
            yield f"{'':>{_RATE}}  {cells.padded(REJECTED, width)}  {file}: {printable(result.error)}\n"
            continue
        details = _joined(_details(result, shown))
        head = f"{result.identify_rate or '':>{_RATE}}  {cells.padded(shown[result.identify_label], width)}  {file}"
        warning = f"  warning: {printable(result.warning)}" if result.warning else ""
        yield head + (f"  ({details})" if details else "") + warning + "\n"


def _details(result: Identification, shown: dict[str, str]) -> list[str]:
    """How familiar an unknown picture is, and what else a picture could be, the likeliest first."""
    ranked = sorted(result.prediction.items(), key=lambda item: -float(item[1][:-1]))
    others = [f"{shown[label]} {rate}" for label, rate in ranked if label != result.identify_label]
    return [f"familiarity {result.familiarity:.3f}", *others] if result.is_unknown else others


def _joined(details: list[str]) -> str:
    is_unknown = bool(details) and details[0].startswith("familiarity ")
    return "; ".join([details[0], ", ".join(details[1:])]) if is_unknown and details[1:] else ", ".join(details)


class _Screenful:
    """The table in so many columns: what does not fit is shortened, what has to be read goes to lines of its own."""

    def __init__(self, screen: Screen, shown: dict[str, str], longest_name: int) -> None:
        self._screen = screen
        self._shown = {
            label: cells.cut(text, max(10, screen.columns // 4), screen.ellipsis) for label, text in shown.items()
        }
        self._answer = max(map(cells.width, self._shown.values()))
        self._indent = _RATE + 2 + self._answer + 2
        # A full line would wrap on some terminals.
        self._rest = max(_SHORTEST_NAME, screen.columns - 1 - self._indent)
        # A name is shortened where the second label would have no room beside it.
        details = max(_FAMILIARITY, self._answer + 1 + _RATE)
        self._name = max(_SHORTEST_NAME, min(longest_name, self._rest - 2 - details))

    def lines(self, results: Iterable[Identification | Rejection]) -> Iterator[str]:
        for number, result in enumerate(results):
            if number == 0:
                yield self._screen.painted(self._header(), _FAINT) + "\n"
            yield from self._rejected(result) if isinstance(result, Rejection) else self._identified(result)

    def _header(self) -> str:
        return f"{'rate':>{_RATE}}  {'answer':<{self._answer}}  {self._name_and('picture', 'or else')}"

    def _identified(self, result: Identification) -> Iterator[str]:
        name = cells.cut_in_the_middle(printable(result.file), self._name, self._screen.ellipsis)
        label = self._screen.painted(
            cells.padded(self._shown[result.identify_label], self._answer), _YELLOW if result.is_unknown else _GREEN
        )
        head = f"{result.identify_rate or '':>{_RATE}}  {label}  "
        details = self._fitting(_details(result, self._shown), self._rest - self._name - 2)
        yield head + self._name_and(name, self._screen.painted(details, _FAINT)) + "\n"
        if result.warning:
            yield from self._below(f"warning: {printable(result.warning)}")

    def _rejected(self, result: Rejection) -> Iterator[str]:
        name = cells.cut_in_the_middle(printable(result.file), self._name, self._screen.ellipsis)
        label = self._screen.painted(cells.padded(REJECTED, self._answer), _RED)
        error = printable(result.error)
        fits = cells.width(error) <= self._rest - self._name - 2
        yield f"{'':>{_RATE}}  {label}  {self._name_and(name, error if fits else '')}\n"
        if not fits:
            yield from self._below(error)

    def _name_and(self, name: str, rest: str) -> str:
        return f"{cells.padded(name, self._name)}  {rest}" if rest else name

    def _below(self, text: str) -> Iterator[str]:
        return (f"{'':>{self._indent}}{line}\n" for line in cells.wrapped(text, self._rest))

    def _fitting(self, details: list[str], columns: int) -> str:
        """As many of the details, from the first, as there is room for."""
        shorter = (_joined(details[:count]) for count in range(len(details), 0, -1))
        return next((text for text in shorter if cells.width(text) <= columns), "")
