"""The help of every command at the widths of common terminals."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fruitcnn import cells
from fruitcnn.cli import command_line


def every_command(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for word, one in getattr(command, "commands", {}).items():
        yield from every_command(one, *words, word)


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_and_its_paragraphs_are_filled(columns: int) -> None:
    app = command_line()
    commands = list(every_command(typer.main.get_command(app)))
    assert len(commands) > 15
    several = 0
    for words in commands:
        done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(columns)})
        lines = done.output.splitlines()
        assert done.exit_code == 0 and max(map(cells.width, lines)) <= columns, done.output
        told = "\n".join(line.strip() for line in lines).partition("╭")[0]
        for paragraph in re.split(r"\n\n+", told.strip())[1:]:
            several += "\n" in paragraph
            for line, following in itertools.pairwise(paragraph.split("\n")):
                # Rich leaves a column at either side.
                assert len(line) + 1 + len(following.split()[0]) > columns - 2, f"{words} ends early: {line}"
    assert several > 2
