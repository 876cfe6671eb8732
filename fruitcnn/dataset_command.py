"""The `fruitcnn dataset` commands: what is done with photographs before a training."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.quick_command import QuickCommand, QuickGroup
from fruitcnn.terminal import printable

app = typer.Typer(
    name="dataset",
    cls=QuickGroup,
    no_args_is_help=True,
    help="Fetch labelled photographs, check them before training, estimate whether more would help.",
)


@app.command(cls=QuickCommand)
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set; there is one: fruits.")],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder to download to.", show_default="./NAME")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="Address of a copy of the files.", show_default="where they were published"
        ),
    ] = None,
) -> None:
    """Download photographs and a CSV of their labels and splits; files that are there already are kept.

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


@app.command(cls=QuickCommand)
def check(
    data: Annotated[Path, typer.Argument(metavar="PHOTOGRAPHS", help=options.LABELLED_HELP)],
    report: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder for check.html, which shows the pictures side by side."),
    ] = None,
    fixes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="File for suggested fixes, to be edited and given to `train --fixes`."),
    ] = None,
) -> None:
    """Find what is wrong with labelled photographs before training; none of them is changed.

    Exit status: 0 nothing serious, 1 failed, 2 wrong usage, 3 something serious was found, 130 or 143 stopped by a
    signal.
    """
    from fruitcnn.checks.check import PAGE
    from fruitcnn.checks.check import check as check_set

    checked = check_set(data, report=report, fixes=fixes)
    print(checked.summary())
    for name, path in (("report", report and report / PAGE), ("fixes to edit", fixes)):
        if path is not None:
            print(printable(f"{name}: {path}"))
    raise typer.Exit(3 if checked.serious else 0)


@app.command(cls=QuickCommand)
def enough(
    data: Annotated[Path, typer.Argument(metavar="PHOTOGRAPHS", help=options.LABELLED_HELP)],
) -> None:
    """Estimate how much more pictures would help each class, by a learning curve of the recipe `features`.

    The forecast reaches to three times the pictures, no further.
    """
    from fruitcnn.dataset.kind import check_kind
    from fruitcnn.extras import require_extras

    check_kind(data)
    require_extras("features")
    from fruitcnn.evaluation.enough import describe
    from fruitcnn.features.enough import enough as measure

    for line in describe(measure(data)):
        print(printable(line))
