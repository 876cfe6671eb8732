"""Typer commands that start without pydantic.

From 0.29 on typer makes a pydantic adapter for every parameter of a command, also where a text stays a text: a quarter
of the time that a cold `identify` takes, and 14 MB. Here a parameter gets its adapter when it needs one.
"""

import enum
import inspect
import os
import re
import shlex
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from fruitcnn.errors import UsageError
from fruitcnn.identify.addresses import is_address, shown_address

# Where typer keeps what converts a parameter's value; older ones have no such place, and no pydantic.
_CONVERTER = "_runtime_param"

_STANDARD_INPUT = "-"

# What other programs call them.
_MEANT = {
    **dict.fromkeys(("predict", "classify", "recognize", "recognise"), "identify"),
    **dict.fromkeys(("fit", "learn"), "train"),
    **dict.fromkeys(("test", "validate", "score"), "evaluate"),
    "convert": "export",
}


class _Quick:
    """What commands and groups of them have in common."""

    help: str | None

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, --help too, each with a converter of ours where typer would make one."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, _CONVERTER, self) is None:
                setattr(parameter, _CONVERTER, _Converter())
            _hide_type(parameter)
        return parameters

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, whose paragraphs are filled to the terminal's width: Rich keeps the line breaks of a docstring."""
        if self.help:
            paragraphs = inspect.cleandoc(self.help).split("\n\n")
            self.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        super().format_help(ctx, formatter)  # type: ignore[misc]


class QuickCommand(_Quick, TyperCommand):
    """For `@app.command(cls=QuickCommand)`."""


class QuickGroup(_Quick, TyperGroup):
    """For `typer.Typer(cls=QuickGroup)`: a picture, and what others call a command, name the command that is meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Raises UsageError with the right line, or the nearest command, for a word that is none."""
        word = args[0]
        if word in self.commands or (word.startswith("-") and word != _STANDARD_INPUT) or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        meant = _MEANT.get(word) or ("identify" if _is_picture(word) else None)
        if meant in self.commands:
            rest = args[1:] if word in _MEANT else args
            line = shlex.join(["fruitcnn", str(meant), *map(shown_address, rest)])
            raise UsageError("no such command", value=shown_address(word), remedy=f"run: {line}")
        if os.sep in word or Path(word).suffix:
            remedy = "check the path; pictures are identified by: fruitcnn identify PATH"
            raise UsageError("no such file, and no command", value=word, remedy=remedy)
        raise UsageError("no such command", value=word, remedy=self._nearest(word))

    def _nearest(self, word: str) -> str:
        import difflib

        known = [*self.commands, *(name for name, meant in _MEANT.items() if meant in self.commands)]
        near = difflib.get_close_matches(word, known, n=1)
        if not near:
            return f"choose from {', '.join(self.commands)}"
        return f"did you mean {_MEANT.get(near[0], near[0])}?"


def _hide_type(parameter: Any) -> None:
    """Newer typer's help shows <bool> beside a flag, and <path> beside an argument that has a name already."""
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.param_type_name == "argument":
        parameter.display_type_rich = lambda ctx: None


def _is_picture(word: str) -> bool:
    """Whether it names something that `identify` takes."""
    return word == _STANDARD_INPUT or is_address(word) or Path(word).exists()


class _Converter:
    """What typer asks for a parameter's value."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the parameter's annotation says."""
        kind = param.type_descriptor.annotation
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if kind is Path and isinstance(value, str):
            return Path(value)
        if kind in (list[str], list[str] | None):
            return list(value)
        # A default is of its kind already.
        if isinstance(kind, type) and isinstance(value, kind):
            return value
        plain = _plain_value(value, kind, param.type_descriptor.parameter_info)
        if plain is not None:
            return plain
        from typer._coercion import build_runtime_param

        return build_runtime_param(param.type_descriptor).coerce(value, param=param, ctx=ctx)


def _plain_value(text: Any, kind: Any, bounds: Any) -> Any:
    """The number or the choice that a text is; None where typer has to look at it, and to say what is wrong."""
    if not isinstance(text, str) or not isinstance(kind, type):
        return None
    if issubclass(kind, enum.StrEnum):
        return next((choice for choice in kind if choice.value == text), None)
    if kind not in (int, float) or not re.fullmatch(
        r"-?\d{1,9}" if kind is int else r"-?\d{1,9}(\.\d{1,18})?", text, re.A
    ):
        return None
    number = kind(text)
    within = (bounds.min is None or number >= bounds.min) and (bounds.max is None or number <= bounds.max)
    return number if within else None
