"""A recipe's YAML, and single settings over it: `a.b=c` from the command line, keywords from Python."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import pydantic
import yaml

from fruitcnn.errors import ConfigError, shortened, system_error

# ValueError: bytes that are no UTF-8, a date that no calendar has, a number of 5,000 digits.
_NO_YAML = (yaml.YAMLError, ValueError, RecursionError)
# Characters of a setting that errors show.
_MOST = 200


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises ConfigError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise system_error(error, ConfigError, value=path) from error
    except _NO_YAML as error:
        raise ConfigError(f"can't be read as YAML ({_reason(error)})", value=path, remedy="mend the file") from error


def apply_overrides(
    fields: dict[str, Any], overrides: Iterable[str] | Mapping[str, object], known: list[str]
) -> dict[str, str]:
    """Put settings into a recipe's fields, in place: texts `a.b=c`, or values by keyword, paths too.

    known: all keys. Returns how each setting was written, by its key. Raises ConfigError for a text of another form,
    and for a keyword that is no key or could be two.
    """
    said = dict[str, str]()
    if isinstance(overrides, Mapping):
        for keyword, value in overrides.items():
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            key = _full_key(keyword, known)
            set_value(fields, key, plain)
            said[key] = shortened(f"{keyword}={plain!r}", _MOST)
        return said
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError("is not of the form key=value", value=override, remedy="write for example train.epochs=3")
        try:
            value = yaml.safe_load(text)
        except _NO_YAML as error:
            raise ConfigError(f"its value is no YAML ({_reason(error)})", value=override, remedy="quote it") from error
        set_value(fields, key, value)
        said[key] = shortened(override, _MOST)
    return said


def set_value(fields: dict[str, Any], key: str, value: object) -> None:
    """Set `a.b` of nested fields, in place. Raises ConfigError where `a` holds no keys."""
    *sections, last = key.split(".")
    for section in sections:
        # A recipe may leave a section out, or empty (None in YAML).
        fields[section] = inner = fields.get(section) or {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{section!r} has no keys below it", value=key, remedy="see the recipe's sections")
        fields = inner
    fields[last] = value


def wrong_setting(key: str, said: dict[str, str]) -> str:
    """How the setting was written that has put this key there, or keys below it; "" where none has."""
    texts = (said[name] for name in said if f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}."))
    return next(texts, "")


def _reason(error: Exception) -> str:
    """Why a text is no YAML."""
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def nearest(key: str, known: list[str]) -> str:
    """The known key that is most like this one."""
    return difflib.get_close_matches(key, known, n=1, cutoff=0)[0]


def _full_key(keyword: str, known: list[str]) -> str:
    """`train.epochs` for `epochs` and for `train__epochs`."""
    key = keyword.replace("__", ".")
    if key in known:
        return key
    meant = [name for name in known if name.rpartition(".")[2] == key]
    if len(meant) > 1:
        problem, remedy = f"could be {' or '.join(meant)}", f"write {meant[0].replace('.', '__')}=..."
        raise ConfigError(problem, value=keyword, remedy=remedy)
    if not meant:
        near = nearest(key, known).replace(".", "__")
        raise ConfigError("is no setting of a recipe", value=keyword, remedy=f"did you mean {near!r}?")
    return meant[0]


def keys_of(section: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """All keys below a section, sections too, each with the sections that it lies in: `data`, `data.size`, ..."""
    keys = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
                keys += keys_of(kind, f"{prefix}{name}.")
    return keys
