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
        Path, typer.Argument(metavar="DIR", help="Folder of parts that `identify --output DIR/` filled.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File ending in .csv, .json, .jsonl or .parquet.")],
    force: options.ReplaceOutput = False,
) -> None:
    """Make one file of the parts of a large identify, in the order of its list."""
    from fruitcnn.cluster.merge import merge as merge_parts

    count = merge_parts(folder, output, force=force)
    print(f"{counted(count, 'row', 'rows')} in {printable(str(output))}", file=sys.stderr)
