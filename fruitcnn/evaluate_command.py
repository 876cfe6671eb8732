"""`fruitcnn evaluate`: its words."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.completion import complete_model
from fruitcnn.quick_command import QuickCommand
from fruitcnn.terminal import print_wrapped, printable, wrapped

app = typer.Typer()


@app.command(cls=QuickCommand)
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help=options.MODEL_HELP)],
    data: Annotated[Path, typer.Option(metavar="PHOTOGRAPHS", help=options.LABELLED_HELP)],
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Split to measure: train, validation or test.",
            show_default="test, else validation; all of a set without splits",
        ),
    ] = None,
    outside: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of pictures of other things, to be called unknown."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for report.html, predictions.csv and metrics.json.")
    ] = None,
    priors: Annotated[
        str | None,
        typer.Option(
            metavar="SHARES",
            help="How frequent the classes are in use: balanced, or LABEL=SHARE,...",
            show_default="as in training",
        ),
    ] = None,
) -> None:
    """Measure a model on labelled pictures, with 95 % confidence intervals.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some pictures could not be read.
    """
    from fruitcnn.evaluation.evaluate import evaluate as judge
    from fruitcnn.evaluation.text import left_out, summary
    from fruitcnn.models import choose_model

    choice = choose_model(model)
    choice.tell("evaluating", by_option=False)
    evaluation = judge(choice.file, data, split, outside, report, priors)
    print_wrapped(summary(evaluation))
    if report is not None:
        print(f"\nreport: {printable(str(report / 'report.html'))}")
    print(wrapped(left_out(evaluation), sys.stderr), end="", file=sys.stderr)
    raise typer.Exit(3 if evaluation.unreadable else 0)
