"""How far long work is: one bar with the time that is left, on standard error where that is a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

from fruitcnn.ranks import ranks
from fruitcnn.terminal import knows_unicode, terminal_columns

_Item = TypeVar("_Item")

_BAR = 20
# Seconds between two drawings: often enough to be seen to move, and no work to speak of.
_PAUSE = 0.1


class Progress:
    """A bar that is there as long as its context. It is the only one: what opens within it stays unseen, and moves it
    on where a `part` of it is under way.

    total: of the work, in any unit, epochs or pictures, 0 where nobody knows it; done: what was done before, by a run
    that is resumed.
    """

    _shown: "Progress | None" = None

    def __init__(self, title: str, total: float, *, done: float = 0) -> None:
        self.title, self.total, self.done = title, total, done
        self._before = done
        # Of the part that is under way: where it began, and how much of this bar it is.
        self._base = self._part = 0.0
        self._outer: Progress | None = None
        self._stream: TextIO | None = None
        self._started = self._drawn = 0.0

    def __enter__(self) -> "Progress":
        # Whoever has redirected standard error meanwhile is obeyed: it is looked up here, not when this was imported.
        if Progress._shown is None and sys.stderr is not None and sys.stderr.isatty() and ranks().is_first:
            self._stream, self._started, Progress._shown = sys.stderr, time.monotonic(), self
            self._draw()
        elif Progress._shown is not None and Progress._shown._part:
            self._outer = Progress._shown
            # What was done before, by a run that is resumed, is no measure of this one's speed.
            self._outer._before += self._outer._follow(self)
            self._outer._draw()
        return self

    def __exit__(self, *exception: object) -> None:
        self._outer = None
        if self._stream is not None:
            self.hide()
            self._stream, Progress._shown = None, None

    def advance(self, amount: float = 1, *, title: str | None = None) -> None:
        """So much more is done. title: what is being done from now on."""
        self.done += amount
        self.title = self.title if title is None else title
        if self._outer is not None:
            self._outer._follow(self)
        if self._stream is not None and time.monotonic() - self._drawn >= _PAUSE:
            self._draw()

    def hide(self) -> None:
        """Make room for lines on the same terminal; what advances next shows the bar again."""
        if self._stream is not None and self._drawn:
            self._write("")
            self._drawn = 0.0

    def _follow(self, inner: "Progress") -> float:
        """Move on to where a bar within this one's part is; returns by how much."""
        moved = self._base + self._part * min(1.0, inner.done / (inner.total or 1.0)) - self.done
        # A second bar in the same part begins where the first one was.
        moved = max(0.0, moved)
        self.advance(moved, title=inner.title)
        return moved

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if not self.total:
            self._write(self.title)
            return
        share = min(1.0, self.done / self.total)
        full = round(share * _BAR)
        # A terminal that knows only ASCII shows a bar too.
        marks = "█░" if self._stream and knows_unicode(self._stream) else "#-"
        seconds = seconds_left(self._drawn - self._started, self.done - self._before, self.total - self.done)
        left = "" if seconds is None else f"  {clock(seconds)} left"
        self._write(f"{self.title}  {marks[0] * full}{marks[1] * (_BAR - full)} {share:4.0%}{left}")

    def _write(self, line: str) -> None:
        if self._stream is not None:
            # One column stays free: a full line would wrap on some terminals.
            width = terminal_columns(self._stream) - 1
            self._stream.write(f"\r{line[:width]:<{width}}\r{line[:width]}")
            self._stream.flush()


@contextlib.contextmanager
def part(title: str, amount: float = 0.0, *, share: float = 0.0) -> Iterator[None]:
    """A stage of the work of the bar that is shown: so much of it, and such a share of what is left.

    What opens a bar within moves that one on; at the end all of the part is done.
    """
    shown = Progress._shown
    if shown is None or shown._part:
        yield
        return
    shown.title, shown._base = title, shown.done
    shown._part = amount + share * max(0.0, shown.total - shown.done)
    end = shown.done + shown._part
    shown._draw()
    try:
        yield
    finally:
        shown._part = 0.0
    shown.advance(end - shown.done)


@contextlib.contextmanager
def rest_of_the_work(title: str, total: float) -> Iterator[None]:
    """All that is left of the bar that is shown, in a unit of its own, with its speed measured anew; else a new bar.

    For work whose amount is known only when a part of it, such as reading the pictures, is done.
    """
    shown = Progress._shown
    if shown is None or shown._part:
        with Progress(title, total):
            yield
        return
    shown.total = total / max(1e-9, 1 - shown.done / shown.total)
    shown.done = shown._before = shown.total - total
    shown.title, shown._started = title, time.monotonic()
    shown._draw()
    yield


def above_the_bar(print_line: Callable[[str], object]) -> Callable[[str], None]:
    """The same, with the bar out of the way as long as a line is printed."""

    def told(line: str) -> None:
        shown = Progress._shown
        if shown is not None:
            shown.hide()
        print_line(line)
        if shown is not None:
            shown._draw()

    return told


def tracked(items: Iterable[_Item], title: str, *, total: int) -> Iterator[_Item]:
    """The items, with a bar of how many of `total` have been used."""
    with Progress(title, total) as progress:
        for item in items:
            yield item
            progress.advance()


def seconds_left(elapsed: float, done: float, left: float) -> float | None:
    """What is left takes as long, a unit, as what was done in `elapsed` seconds; None where nothing was done yet."""
    return elapsed / done * max(0.0, left) if done > 0 else None


def clock(seconds: float) -> str:
    """Seconds as `0:05`, `12:30` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
