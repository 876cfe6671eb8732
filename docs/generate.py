"""The pages of the reference that the code writes: `python docs/generate.py`. A test holds them against the code."""

import enum
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pydantic
import typer.main
from pydantic_core import PydanticUndefined

from fruitcnn.cli import command_line
from fruitcnn.config import Config, load_config
from fruitcnn.recipes import recipe_names

DOCS = Path(__file__).parent
KEYS = ("key", "takes", "default", "what it is")
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none"}
LIMITS = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
FROM_CODE = "<!-- Written by `python docs/generate.py` from the code. -->"


def _cell(text: object) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def command_page() -> str:
    """Each command with its arguments and options."""
    lines = [FROM_CODE, "", "# The command line", ""]
    lines += ["`fruitcnn --install-completion` teaches the shell these words.", ""]
    for name, command in _commands(typer.main.get_command(command_line()), "fruitcnn"):
        lines += [f"## `{name}`", "", *(line.strip() for line in (command.help or "").strip().splitlines()), ""]
        arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
        types = get_type_hints(command.callback) if command.callback else {}
        options = [
            _option(one, types.get(one.name, bool))
            for one in command.params
            if one.param_type_name == "option" and not one.hidden
        ]
        if arguments:
            lines += [*_table(("argument", "what it is"), arguments), ""]
        if options:
            lines += [*_table(("option", "value", "default", "what it does"), options), ""]
    return "\n".join(lines)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from _commands(one, f"{name} {word}")


def _argument(argument: Any) -> tuple[object, ...]:
    return f"`{argument.metavar or argument.name.upper()}`", getattr(argument, "help", "") or ""


def _option(option: Any, annotation: object) -> tuple[object, ...]:
    names = ", ".join(f"`{one}`" for one in option.opts)
    values = get_args(annotation) or (annotation,)
    kinds = [one for one in values if isinstance(one, type) and issubclass(one, enum.Enum)]
    value = " ".join(str(one.value) for kind in kinds for one in kind) or option.metavar or values[0].__name__
    default = getattr(option.default, "value", option.default)
    if isinstance(option.show_default, str):
        default = option.show_default
    has_default = not option.is_flag and default not in (None, (), []) and not callable(default)
    return names, "" if option.is_flag else f"`{value}`", default if has_default else "", option.help or ""


def recipe_page() -> str:
    """Each key of a recipe: what it takes, and what the recipes that come along set."""
    lines = [FROM_CODE, "", "# The keys of a recipe", ""]
    lines += ["A recipe is a YAML file; `fruitcnn recipes NAME` prints those that come along, with their reasons.", ""]
    lines += ["`--set section.key=value` changes one key of it for one run.", ""]
    fields = {name: field for name, field in Config.model_fields.items() if name != "name"}
    others = [_key(name, field) for name, field in fields.items() if not _section(field)]
    for name, field in Config.model_fields.items():
        if section := _section(field):
            rows = [_key(key, one) for key, one in section.model_fields.items()]
            lines += [f"## `{name}`", "", " ".join((section.__doc__ or "").split()), "", *_table(KEYS, rows), ""]
    lines += ["## Beside the sections", "", *_table(KEYS, others)]
    return "\n".join([*lines, "", "## What the recipes set", "", *_settings(), ""])


def _section(field: pydantic.fields.FieldInfo) -> type[pydantic.BaseModel] | None:
    kinds = get_args(field.annotation) or (field.annotation,)
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, pydantic.BaseModel)), None)


def _key(name: str, field: pydantic.fields.FieldInfo) -> tuple[object, ...]:
    default = "" if field.is_required() or field.default is PydanticUndefined else f"`{_shown(field.default)}`"
    return f"`{name}`", _takes(field.annotation, field.metadata), default, field.description or ""


def _shown(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _takes(annotation: Any, bounds: Iterable[Any] = ()) -> str:
    """What a type lets pass, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [bound for one in parts[1:] for bound in getattr(one, "metadata", ())]
        return _takes(parts[0], inner)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in parts)
    if origin is tuple:
        return " and ".join(_takes(one) for one in parts)
    if parts:
        return ", or ".join(_takes(one, bounds) for one in parts)
    return " ".join([WORDS[annotation], " and ".join(_limits(bounds))]).strip()


def _limits(bounds: Iterable[Any]) -> Iterator[str]:
    """As in "from 16, up to 1024"."""
    for bound in bounds:
        for name, word in LIMITS.items():
            if hasattr(bound, name):
                yield f"{word} {getattr(bound, name)}"


def _settings() -> list[str]:
    """A row a key in which the recipes differ; a recipe that lacks the section has no value there."""
    recipes = {name: load_config(name, data="photographs").model_dump() for name in recipe_names()}
    sections = {name: field for name, field in Config.model_fields.items() if _section(field)}
    rows: list[tuple[object, ...]] = []
    for section, field in sections.items():
        for key in _section(field).model_fields:
            values = [_shown(recipe[section][key]) if recipe[section] else "" for recipe in recipes.values()]
            if len(set(values)) > 1:
                rows.append((f"`{section}.{key}`", *values))
    return _table(("key", *(f"`{name}`" for name in recipes)), rows)


PAGES = {"cli.md": command_page, "recipes.md": recipe_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / "reference" / name).write_text(page(), encoding="utf-8")
