"""The standard streams, whatever state they are in, and what may be shown on a terminal."""

import contextlib
import dataclasses
import io
import os
import signal
import sys
from collections.abc import Iterator
from typing import TextIO, cast


def printable(text: str) -> str:
    """The text on one line, with line breaks, control sequences and what is no character as escapes.

    Names of files and labels come from strangers, and a terminal obeys what it is sent.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclasses.dataclass(frozen=True)
class Screen:
    """What a terminal shows: so many columns, colours or none, and its mark of what was left out."""

    columns: int
    has_colours: bool
    ellipsis: str

    @classmethod
    def behind(cls, stream: TextIO) -> "Screen | None":
        """The terminal that a stream is shown on, if it is."""
        if not stream.isatty():
            return None
        has_colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(terminal_columns(stream), has_colours, "…" if knows_unicode(stream) else "...")

    def painted(self, text: str, colour: int) -> str:
        """The text in a colour, by the number that terminals know it by."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.has_colours and text else text


def terminal_columns(stream: TextIO) -> int:
    """How many columns the terminal behind a stream has; 80 where it does not say."""
    try:
        # Some terminals say 0.
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def wrapped(text: str, stream: TextIO) -> str:
    """The text, with lines that a terminal behind the stream would break anywhere broken between words."""
    if not stream.isatty():
        return text
    from fruitcnn import cells

    columns = terminal_columns(stream) - 1
    lines = []
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip(" ")) + 2
        lines += cells.wrapped(line, columns, indent) or [""]
    return "\n".join(lines)


def print_wrapped(text: str) -> None:
    """Print what people are told."""
    print(wrapped(text, sys.stdout))


def knows_unicode(stream: TextIO) -> bool:
    """Whether a stream takes more than ASCII."""
    return "utf" in str(stream.encoding).lower()


def open_standard_streams() -> None:
    """Give a process whose standard streams are closed streams that fail, and none of them a character it can't write.

    Otherwise the next file that is opened becomes standard output, and what is printed lands in it.
    """
    for descriptor, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one. The wrong direction makes its use an error, except for messages,
            # which nobody wants to see.
            os.open(os.devnull, flags)
    sys.stdin = sys.stdin or _stream(0, "r")
    sys.stdout = sys.stdout or _stream(1, "w")
    sys.stderr = sys.stderr or _stream(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output, named in the errors of writing to it; where its reader has seen enough, the command ends."""
    try:
        yield sys.stdout
    except BrokenPipeError:
        # Quiet, with the status that a shell gives to any other program then.
        sys.exit(128 + getattr(signal, "SIGPIPE", 13))
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def flush_standard_output() -> None:
    """Write what is left; where that fails, once is enough: Python would try again at its end, and complain."""
    try:
        with standard_output() as stream:
            stream.flush()
    except (OSError, SystemExit):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise


def _stream(descriptor: int, mode: str) -> TextIO:
    return cast(TextIO, open(descriptor, mode, closefd=False))
