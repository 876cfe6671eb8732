"""`fruitcnn export`: its words, which follow from the list of formats."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn.completion import complete_formats, complete_model
from fruitcnn.export.formats import FORMATS, export_help, left_out, of_every_run  # noqa: TID253 (rows without their writers)
from fruitcnn.quick_command import QuickCommand
from fruitcnn.terminal import print_wrapped, wrapped

app = typer.Typer()


@app.command(cls=QuickCommand, help=export_help())
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", autocompletion=complete_model, help="Name of a run, or checkpoint folder."
        ),
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write to.", show_default="the checkpoint")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there already.")] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="LIST",
            autocompletion=complete_formats,
            help=f"Formats to write, with commas between: {', '.join(FORMATS)}.",
            show_default=",".join(format.name for format in of_every_run()),
        ),
    ] = None,
) -> None:
    """Export a finished run again; what the help says besides comes from the list of formats."""
    from fruitcnn.export.exporter import export_formats

    chosen = None if format is None else format.split(",")
    for parity in export_formats(checkpoint, chosen, to=to, force=force):
        print_wrapped(str(parity))
    for missing in left_out() if chosen is None else ():
        line = f"fruitcnn: {missing.file} left out: {' or '.join(missing.needs)} is not installed"
        print(wrapped(line, sys.stderr), file=sys.stderr)
