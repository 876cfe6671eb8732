"""`fruitcnn label-next`: its words."""

from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.completion import complete_model
from fruitcnn.quick_command import QuickCommand

app = typer.Typer()


@app.command("label-next", cls=QuickCommand)
def label_next(
    model: Annotated[str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help=options.MODEL_HELP)],
    pool: Annotated[list[str], typer.Argument(metavar="POOL", help="Folder of pictures without labels.")],
    count: Annotated[
        int,
        typer.Option(
            "--count", "-n", min=1, metavar="N", help="Pictures to choose; up to as many unknown ones are added."
        ),
    ] = 30,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PHOTOGRAPHS", help="Pictures labelled so far; the page's list begins with them."),
    ] = None,
    output: options.Output = None,
    page: Annotated[Path | None, typer.Option(metavar="HTML", help="Web page to write, to label them in.")] = None,
    force: options.ReplaceOutput = False,
) -> None:
    """Choose the pictures that a model would learn most from, to label them next.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some pictures could not be read.
    """
    from fruitcnn.labelling.label_next import Request
    from fruitcnn.labelling.label_next import label_next as choose_next

    request = Request(model=model, count=count, data=data, output=output, page=page, force=force)
    raise typer.Exit(choose_next(list(map(Path, pool)), request))
