"""Names of files and folders that every file system takes, and that are free."""

import os
import unicodedata

# Windows has devices of these names, in every folder and with any ending.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_LONGEST = 255


def safe_name(text: str) -> str:
    """A text, such as a label, as a name: no path, not hidden, no device, of characters that every file system has."""
    name = "".join(char if char.isprintable() and char not in '<>:"/\\|?*' else "_" for char in text)
    name = name.strip().rstrip(". ")
    if not name or name.startswith(".") or name.partition(".")[0].lower() in _DEVICES:
        name = f"_{name}"
    return name


def free_name(name: str, taken: set[str]) -> str:
    """The name, numbered and cut where needed so that none of `taken` is alike; it is one of them afterwards.

    Alike are names that differ in letter case or in the spelling of their accents: to some file systems they are one.
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a name that ends with a dot is one, too)
    suffix = suffix[:16]
    number, found = 1, _cut(stem, suffix)
    while _folded(found) in taken:
        number += 1
        found = _cut(stem, f"-{number}{suffix}")
    taken.add(_folded(found))
    return found


def _cut(stem: str, ending: str) -> str:
    while len(os.fsencode(stem + ending)) > _LONGEST:
        stem = stem[:-1]
    return stem + ending


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
