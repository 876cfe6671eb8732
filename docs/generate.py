"""The pages of the reference that the code writes: `python docs/generate.py`. A test holds them against the code."""

import enum
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pydantic
import typer.main
import yaml
from pydantic_core import PydanticUndefined

from fruitcnn.cli import command_line
from fruitcnn.config import Config, load_config, setting_keys
from fruitcnn.errors import ConfigError
from fruitcnn.recipes import recipe_names

DOCS = Path(__file__).parent
FROM_CODE = "<!-- Written by `python docs/generate.py` from the code. -->"
KEYS = ("key", "takes", "default", "what it is")
WORDS = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "`null`"}
LIMITS = {"ge": "from", "gt": "above", "le": "up to", "lt": "and below"}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# A line a command.
EXAMPLES = {
    "fruitcnn identify": "fruitcnn identify photos/ --output answers.csv",
    "fruitcnn merge": "fruitcnn merge answers/ --output answers.csv",
    "fruitcnn serve": "fruitcnn serve mine --port 8080",
    "fruitcnn evaluate": "fruitcnn evaluate mine --data photos.csv --report evaluated",
    "fruitcnn label-next": "fruitcnn label-next mine new/ --count 20 --page label.html",
    "fruitcnn dataset fetch": "fruitcnn dataset fetch fruits",
    "fruitcnn dataset check": "fruitcnn dataset check photos/ --report checked --fixes fixes.csv",
    "fruitcnn dataset enough": "fruitcnn dataset enough photos/",
    "fruitcnn train": "fruitcnn train photos/ --name mine",
    "fruitcnn tune": "fruitcnn tune photos/ --space space.yaml --trials 50",
    "fruitcnn export": "fruitcnn export mine --format image,int8 --to exported",
    "fruitcnn info": "fruitcnn info mine",
    "fruitcnn models": "fruitcnn models",
    "fruitcnn recipes": "fruitcnn recipes quick",
    "fruitcnn cache": "fruitcnn cache --clear",
}
HOW_TO_READ = """\
`fruitcnn COMMAND --help` shows the same on the terminal. Words in capitals stand for your own, what is in brackets can
be left out, and `...` follows what can be given several times.

`fruitcnn --install-completion` teaches your shell to complete commands, options, and the names of models and recipes.
"""
WHAT_A_RECIPE_IS = """\
A recipe is a YAML file that says how a model is trained. `fruitcnn recipes` lists those that come with fruitcnn, and
`fruitcnn recipes NAME` prints one with its reasons, to be copied and changed.

`fruitcnn train photos/ --set section.key=value` changes one key for one run. A default of `null` means that the key is
not set.
"""


def _prose(text: object) -> str:
    """Text of a help as Markdown: options become code, and nothing outside of code is read as HTML or emphasis."""
    parts = str(text).split("`")
    parts[::2] = [OPTION.sub(r"`\g<0>`", part.replace("<", "&lt;").replace("*", "\\*")) for part in parts[::2]]
    return "`".join(parts)


def _cell(text: object) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    if not rows:
        return []
    lines = [head, ("---",) * len(head), *rows]
    return [*(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines), ""]


def command_page() -> str:
    """Each command with its arguments and options."""
    lines = [FROM_CODE, "", "# The command line", "", HOW_TO_READ]
    for name, command in commands(typer.main.get_command(command_line()), "fruitcnn"):
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        types = get_type_hints(command.callback) if command.callback else {}
        rows = [_option(one, types.get(one.name, bool)) for one in options]
        lines += [f"## `{name}`", "", *_told(command.help or ""), ""]
        usage = _usage(name, command, arguments, options)
        lines += ["```text", usage, "```", ""]
        if EXAMPLES.get(name, usage) != usage:
            lines += ["For example:", "", "```sh", EXAMPLES[name], "```", ""]
        lines += _table(("command", "what it does"), _subcommands(name, command))
        lines += _table(("argument", "default", "what it is"), [_argument(one) for one in arguments])
        lines += _table(("option", "value", "default", "what it does"), rows)
    return "\n".join(lines)


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command, then those below it, with the words that call them."""
    yield name, command
    for word, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from commands(one, f"{name} {word}")


def _told(text: str) -> list[str]:
    """The paragraphs of a help; those that explain a word, as `onnx: for every runtime`, become a list."""
    lines = [_prose(line.strip()) for line in text.strip().splitlines()]
    return [re.sub(r"^(\w+): ", r"* `\1`: ", line) for line in lines]


def _usage(name: str, command: Any, arguments: list[Any], options: list[Any]) -> str:
    required = [f"{max(one.opts, key=len)} {one.metavar}" for one in options if one.required]
    rest = ["COMMAND ..."] if hasattr(command, "commands") else []
    optional = ["[OPTIONS]"] if any(not one.required for one in options) else []
    return " ".join([name, *map(_placeholder, arguments), *required, *optional, *rest])


def _placeholder(argument: Any) -> str:
    word = f"{argument.metavar} ..." if argument.nargs == -1 else str(argument.metavar)
    return word if argument.required else f"[{word}]"


def _subcommands(name: str, command: Any) -> list[tuple[object, ...]]:
    """Each with a link to its section, and the first sentence of its help."""
    found = getattr(command, "commands", {}).items()
    shown = [(f"{name} {word}", one) for word, one in found if not one.hidden]
    return [
        (f"[`{path}`](#{path.replace(' ', '-')})", _prose((one.help or "").partition("\n\n")[0])) for path, one in shown
    ]


def _argument(argument: Any) -> tuple[object, ...]:
    return f"`{_placeholder(argument)}`", _default(argument), _prose(argument.help or "")


def _option(option: Any, annotation: object) -> tuple[object, ...]:
    names = ", ".join(f"`{one}`" for one in option.opts)
    kinds = [one for one in get_args(annotation) or (annotation,) if isinstance(one, type)]
    choices = [f"`{choice.value}`" for kind in kinds if issubclass(kind, enum.Enum) for choice in kind]
    value = ", ".join(choices) or f"`{option.metavar}`"
    return names, "" if option.is_flag else value, _default(option), _prose(option.help or "")


def _default(parameter: Any) -> str:
    """The default of an option or argument, in words where it has some."""
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.required:
        return "**required**"
    if isinstance(parameter.show_default, str):
        return _prose(parameter.show_default)
    if getattr(parameter, "is_flag", False) or default in (None, (), []) or callable(default):
        return ""
    return f"`{default}`"


def recipe_page() -> str:
    """Each key of a recipe: what it takes, and what the recipes that come along set."""
    lines = [FROM_CODE, "", "# The keys of a recipe", "", WHAT_A_RECIPE_IS]
    fields = {name: field for name, field in Config.model_fields.items() if name != "name"}
    others = [_key(name, field) for name, field in fields.items() if not _section(field)]
    for name, field in fields.items():
        if section := _section(field):
            rows = [_key(key, one) for key, one in section.model_fields.items()]
            lines += [f"## `{name}`", "", _prose(" ".join((section.__doc__ or "").split())), "", *_table(KEYS, rows)]
    lines += ["## Outside the sections", "", *_table(KEYS, others)]
    lines += ["## What the recipes set", "", "Keys in which they differ; a recipe does not use what is blank.", ""]
    return "\n".join([*lines, *_settings()])


def _section(field: pydantic.fields.FieldInfo) -> type[pydantic.BaseModel] | None:
    kinds = get_args(field.annotation) or (field.annotation,)
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, pydantic.BaseModel)), None)


def _key(name: str, field: pydantic.fields.FieldInfo) -> tuple[object, ...]:
    default = "" if field.is_required() or field.default is PydanticUndefined else f"`{_shown(field.default)}`"
    return f"`{name}`", _takes(field.annotation, field.metadata), default, _prose(field.description or "")


def _shown(value: object) -> str:
    """A value as it is written in YAML."""
    return value if isinstance(value, str) and value else json.dumps(value)


def _takes(annotation: Any, bounds: Iterable[Any] = ()) -> str:
    """What a type lets pass, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [bound for one in parts[1:] for bound in getattr(one, "metadata", ())]
        return _takes(parts[0], inner)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in parts)
    if origin is tuple:
        return f"[{', '.join(_takes(one) for one in parts)}]"
    if parts:
        return ", or ".join(_takes(one, bounds) for one in parts)
    return " ".join([WORDS[annotation], *_limits(bounds)])


def _limits(bounds: Iterable[Any]) -> Iterator[str]:
    """As in "from 16", "up to 1,024"."""
    for bound in bounds:
        for name, word in LIMITS.items():
            if hasattr(bound, name):
                yield f"{word} {getattr(bound, name):,}"


def _settings() -> list[str]:
    """A row a key in which the recipes that use it differ, or that one of them alone uses."""
    recipes = {name: _used(load_config(name, data="photographs")) for name in recipe_names()}
    rows: list[tuple[object, ...]] = []
    for key in setting_keys():
        values = [recipe.get(key, "") for recipe in recipes.values()]
        if len({*values} - {""}) > 1 or values.count("") == len(values) - 1:
            cells = [_unless_refused(name, key, value, values) for name, value in zip(recipes, values, strict=True)]
            rows.append((f"`{key}`", *cells))
    return _table(("key", *(f"`{name}`" for name in recipes)), rows)


def _used(recipe: Config) -> dict[str, str]:
    """What a recipe sets, by `section.key`: a section that has no meaning in it is not there."""
    sections = {name: keys for name, keys in yaml.safe_load(recipe.to_yaml()).items() if isinstance(keys, dict)}
    return {f"{name}.{key}": _shown(value) for name, keys in sections.items() for key, value in keys.items()}


def _unless_refused(recipe: str, key: str, value: str, values: list[str]) -> str:
    """The value, or "" where the recipe refuses another recipe's: the key has no meaning in it."""
    other = next((one for one in values if one not in ("", value)), "") if value else ""
    try:
        load_config(recipe, [f"{key}={other}"] if other else [], data="photographs")
    except ConfigError:
        return ""
    return value


PAGES = {"cli.md": command_page, "recipes.md": recipe_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / "reference" / name).write_text(page(), encoding="utf-8")
