"""The `fruitcnn dataset` commands: what is done with photographs before a training."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn.quick_command import QuickCommand, QuickGroup
from fruitcnn.terminal import printable

app = typer.Typer(cls=QuickGroup, no_args_is_help=True, help="Fetch labelled photographs, before a training.")


@app.command(cls=QuickCommand)
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the data set: fruits.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder to fetch into.", show_default="one of that name, here")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Address that has the same files.", show_default="their first home"),
    ] = None,
) -> None:
    """Fetch photographs and a list of them with their split; what is there already is kept.

    Each file is compared with its known hash, and is there whole or not at all: after Ctrl-C, or where something is
    missing, run the same line again.

    Exit status: 0 all there, 1 failed, 2 wrong usage, 3 some are missing, 130 or 143 stopped by a signal.
    """
    from fruitcnn.fetch.fetch import fetch as fetch_set
    from fruitcnn.fetch.manifest import find_set

    print(find_set(name).rights, flush=True)
    found = fetch_set(name, out, address=from_)
    print(printable(found.summary()), file=sys.stderr if found.missing else sys.stdout)
    raise typer.Exit(3 if found.missing else 0)
