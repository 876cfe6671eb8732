"""`fruitcnn merge`: its words."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.quick_command import QuickCommand
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

app = typer.Typer()


@app.command(cls=QuickCommand)
def merge(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of parts that `identify --output DIR/` has written.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="File to write: .csv, .json, .jsonl or .parquet."),
    ],
    force: options.ReplaceOutput = False,
) -> None:
    """Join the parts that a large `identify` has written into one file, in the order of its pictures."""
    from fruitcnn.cluster.merge import merge as merge_parts

    count = merge_parts(folder, output, force=force)
    print(f"{counted(count, 'row', 'rows')} in {printable(str(output))}", file=sys.stderr)
