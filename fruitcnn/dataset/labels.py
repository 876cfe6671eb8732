"""Class names: one spelling for each class, and no two that a person would take for one."""

import collections
import unicodedata
from collections.abc import Iterable

from fruitcnn.errors import DatasetError
from fruitcnn.terminal import printable

# Columns of `identify`'s results, and what it calls a picture that is unlike all classes.
RESERVED = ("file", "identify_label", "identify_rate", "familiarity", "warning", "error", "unknown")
# Control characters, halves of characters (from names that are not UTF-8), line and paragraph separators.
_NEVER_IN_LABELS = ("Cc", "Cs", "Zl", "Zp")
# Fillers of Hangul, the empty Braille pattern, the joiner of graphemes; formats (Cf) and variation selectors besides.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def clean_label(name: str, *, where: object) -> str:
    """A class's name without outer blanks, in the one spelling (NFC) of several that look the same.

    where: what errors name. Raises DatasetError for a name that can't be shown on one line, or shows nothing.
    """
    label = unicodedata.normalize("NFC", name).strip()
    if any(unicodedata.category(char) in _NEVER_IN_LABELS for char in label):
        problem = "the class's name has characters that can't be shown"
        raise DatasetError(problem, value=printable(str(where)), remedy="rename it, in UTF-8 and on one line")
    if not _folded(label):
        problem = f"the class's name {_shown(name)} is blank"
        raise DatasetError(problem, value=printable(str(where)), remedy="give it a name")
    return label


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """Names that differ only in letter case, blanks or what can't be seen, as they can be shown: a list a class."""
    alike: dict[str, set[str]] = collections.defaultdict(set)
    for name in names:
        spelling = unicodedata.normalize("NFC", name)
        alike[_folded(spelling)].add(spelling)
    return [[_shown(name) for name in sorted(spellings)] for spellings in alike.values() if len(spellings) > 1]


def check_distinct(names: Iterable[str], *, value: object) -> None:
    """Refuse names that differ only in letter case, blanks or what can't be seen. Raises DatasetError for `value`."""
    mixed = [name for names_alike in alike_names(names) for name in names_alike]
    if mixed:
        problem = f"classes differ only in letter case, blanks or invisible characters: {', '.join(mixed)}"
        raise DatasetError(problem, value=value, remedy="rename or join them")


def reserved_names(names: Iterable[str]) -> list[str]:
    """Names that a model's answers use for something else, as they can be shown."""
    return [_shown(name) for name in names if _folded(name) in RESERVED]


def check_not_reserved(names: Iterable[str], *, value: object) -> None:
    """Refuse names that a model's answers use for something else. Raises DatasetError for `value`."""
    if taken := reserved_names(names):
        problem = f"classes may not be called {', '.join(taken)}: the results have a column or an answer of that name"
        raise DatasetError(problem, value=value, remedy="rename the class (the folder, or the label in the list)")


def _folded(name: str) -> str:
    """What a person sees of a name, letter case aside."""
    seen = "".join(char for char in name if not _is_invisible(char))
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFD", seen).casefold().split()))


def _is_invisible(char: str) -> bool:
    selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef" or "\u180b" <= char <= "\u180f"
    return unicodedata.category(char) == "Cf" or char in _BLANK_LETTERS or selector


def _shown(name: str) -> str:
    """In quotes, with escapes for what can't be seen."""
    visible = "".join(ascii(char)[1:-1] if _is_invisible(char) else char for char in name)
    return f"'{printable(visible)}'"
