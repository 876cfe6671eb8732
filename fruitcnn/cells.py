"""Text in the columns of a terminal, where a character of Chinese or an emoji takes two and an accent none."""

import re
import unicodedata
from collections.abc import Iterator

# Columns of a text beside its head, however few are left of the line.
_NARROWEST = 16
# What stays in one piece: a command to its end, a setting with its option, a word.
_PIECES = re.compile(r"((?:(?<=^  )|(?<=: ))(?:fruitcnn|pip|python) .*|--set [^ ]+|[^ ]*)(?: |$)")
_EMOJI_SHOWN, _SKIN_TONES = "\ufe0f", "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def width(text: str) -> int:
    """How many columns a terminal shows `text` in. It is to be `printable`."""
    return len(text) if text.isascii() else sum(columns for _, columns in _clusters(text))


def padded(text: str, columns: int) -> str:
    """With blanks behind it up to so many columns."""
    return text + " " * (columns - width(text))


def right_aligned(text: str, columns: int) -> str:
    """With blanks before it up to so many columns."""
    return " " * (columns - width(text)) + text


def cut(text: str, columns: int, mark: str) -> str:
    """The beginning, with `mark` behind it, where `text` needs more than so many columns."""
    return text if width(text) <= columns else _beginning(text, columns - len(mark)) + mark


def cut_in_the_middle(text: str, columns: int, mark: str) -> str:
    """Both ends with `mark` between them: of a path the end says most, and gets two thirds."""
    if width(text) <= columns:
        return text
    end = (columns - len(mark)) * 2 // 3
    tail = _beginning_of(list(_clusters(text))[::-1], end)[::-1]
    return _beginning(text, columns - len(mark) - sum(map(width, tail))) + mark + "".join(tail)


def wrapped(text: str, columns: int, indent: int = 0) -> list[str]:
    """Lines of at most so many columns, where no word is longer; all but the first begin with `indent` blanks.

    A command that ends the text is one word, so that it can be copied: it stands behind a colon, or alone and indented.
    """
    first, *pieces = (piece.group(1) for piece in _PIECES.finditer(text))
    lines = [first]
    for word in pieces:
        line = f"{lines[-1]} {word}"
        if width(line.rstrip(" ")) <= columns or not lines[-1].strip(" "):
            lines[-1] = line
        else:
            lines.append(" " * indent + word)
    return [line.rstrip(" ") for line in lines if line.strip(" ")]


def beside(head: str, text: str, columns: int) -> list[str]:
    """The text behind its head, in lines of at most so many columns; what is below the first begins where it does."""
    indent = width(head)
    first, *others = wrapped(text, max(_NARROWEST, columns - indent)) or [""]
    return [(head + first).rstrip(" "), *(" " * indent + line for line in others)]


def _beginning(text: str, columns: int) -> str:
    return "".join(_beginning_of(list(_clusters(text)), columns))


def _beginning_of(clusters: list[tuple[str, int]], columns: int) -> list[str]:
    kept = []
    for cluster, needed in clusters:
        columns -= needed
        if columns < 0:
            break
        kept.append(cluster)
    return kept


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """What is one character to a reader, with its columns: a letter and its accents, a flag of two letters."""
    cluster, columns = "", 0
    for char in text:
        added = _added(cluster, char)
        if cluster and added is not None:
            cluster, columns = cluster + char, columns + added
            continue
        if cluster:
            yield cluster, columns
        cluster, columns = char, 2 if unicodedata.east_asian_width(char) in "WF" else 1
    if cluster:
        yield cluster, columns


def _added(cluster: str, char: str) -> int | None:
    """The columns that a character adds to the one before it; None for one that stands for itself."""
    if char == _EMOJI_SHOWN:
        return 1 if len(cluster) == 1 and unicodedata.east_asian_width(cluster) not in "WF" else 0
    if _is_flag_letter(char) and len(cluster) == 1 and _is_flag_letter(cluster):
        return 1
    # The vowels and endings of Hangul in parts, as macOS writes names of files.
    in_hangul = "\u1160" <= char <= "\u11ff" or "\ud7b0" <= char <= "\ud7ff"
    if in_hangul or char in _SKIN_TONES or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return None


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
