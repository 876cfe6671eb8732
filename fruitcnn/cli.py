"""The `fruitcnn` command: each subcommand parses, imports its stage, calls one function and prints.

Those with many words have a module each, NAME_command.py.
"""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import __version__, options
from fruitcnn.completion import complete_model, complete_recipe
from fruitcnn.dataset_command import app as dataset_app
from fruitcnn.errors import OUT_OF_MEMORY, FruitcnnError, system_error
from fruitcnn.evaluate_command import evaluate
from fruitcnn.export.formats import export_help  # noqa: TID253 (rows without their writers)
from fruitcnn.export_command import export
from fruitcnn.extras import missing_extra, require_extras
from fruitcnn.identify_command import identify
from fruitcnn.quick_command import QuickCommand, QuickGroup
from fruitcnn.ranks import ranks
from fruitcnn.signals import end_inside_libraries
from fruitcnn.terminal import (
    flush_standard_output,
    open_standard_streams,
    printable,
    standard_output,
    wrapped,
)
from fruitcnn.train_command import TrainCommand, train
from fruitcnn.tune_command import tune

app = typer.Typer(
    cls=QuickGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(dataset_app, name="dataset")


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """From a folder of labelled photographs to a calibrated image classifier that any runtime can use."""
    if version:
        print(__version__)
        raise typer.Exit


app.command(cls=QuickCommand)(identify)


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
    print(f"{count:,} rows in {printable(str(output))}", file=sys.stderr)


@app.command(cls=QuickCommand)
def info(
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help=options.MODEL_HELP, show_default="the one that answers by default"),
    ] = None,
) -> None:
    """Show the model card: labels, input, calibration, where the model comes from."""
    from fruitcnn.identify.info import describe

    with standard_output() as stream:
        print(wrapped(describe(model), stream), file=stream)


@app.command(cls=QuickCommand)
def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            autocompletion=complete_model,
            help=options.MODEL_HELP,
            show_default="the one that answers by default",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's want a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; one uses all cores by its threads.")] = 1,
    log: Annotated[options.LogFormat, typer.Option(help="How to write the log.")] = options.LogFormat.text,
) -> None:
    """Answer over HTTP what is in pictures.

    POST a picture to /identify; /docs says more. The token in FRUITCNN_TOKEN is asked for, where one is set. SIGTERM
    ends it after what it has; SIGHUP loads the model's file anew.
    """
    require_extras("serve")
    from fruitcnn.server.serve import serve as answer

    answer(model, host=host, port=port, workers=workers, log=log.value)


@app.command(cls=QuickCommand)
def models() -> None:
    """List the models that have a name here: runs in ./checkpoints, and what comes with fruitcnn."""
    from fruitcnn.identify.catalogue import list_models

    with standard_output() as stream:
        print(wrapped(list_models(), stream), file=stream)


app.command(cls=QuickCommand)(evaluate)


@app.command("label-next", cls=QuickCommand)
def label_next(
    model: Annotated[str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help=options.MODEL_HELP)],
    pool: Annotated[list[str], typer.Argument(metavar="POOL...", help="Folder of pictures without a label.")],
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, help="How many pictures; and unknown ones beside.")
    ] = 30,
    data: Annotated[
        Path | None, typer.Option(help="Folder or CSV of what has a label: the page's list begins with it.")
    ] = None,
    output: options.Output = None,
    page: Annotated[Path | None, typer.Option(metavar="HTML", help="Write a page to label them in here.")] = None,
    force: options.ReplaceOutput = False,
) -> None:
    """Choose the pictures that a model would learn most from, to label them next.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some pictures could not be read.
    """
    from fruitcnn.labelling.label_next import Request
    from fruitcnn.labelling.label_next import label_next as choose_next

    request = Request(model=model, count=count, data=data, output=output, page=page, force=force)
    raise typer.Exit(choose_next(list(map(Path, pool)), request))


app.command(cls=TrainCommand)(train)


app.command(cls=QuickCommand)(tune)


@app.command(cls=QuickCommand)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", autocompletion=complete_recipe, help="Print this one, with its comments."),
    ] = None,
) -> None:
    """List the recipes to train by: input, cost, and what each is for."""
    from fruitcnn.runs.recipe_texts import recipe_list, recipe_text

    print(recipe_list() if name is None else recipe_text(name).rstrip())


app.command(cls=QuickCommand, help=export_help())(export)


@app.command(cls=QuickCommand)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of it; what is needed is computed again.")] = False,
) -> None:
    """Show the folder of what was computed before, with a size for each kind, or clear it."""
    from fruitcnn.cache import describe_cache

    print(describe_cache(clear=clear))


def main() -> None:
    """Run the command; every error ends as one line on standard error, or as a traceback with --debug."""
    debug = _take_debug(sys.argv)
    open_standard_streams()
    end_inside_libraries()
    # Pillow warns of pictures that are odd but readable; here a picture is either identified or rejected.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        try:
            app()
        finally:
            flush_standard_output()
    except FruitcnnError as error:
        _fail(str(error), error.exit_code, debug)
    except OSError as error:
        _fail(str(system_error(error, FruitcnnError)), 1, debug)
    except MemoryError:
        _fail("; ".join(OUT_OF_MEMORY), 1, debug)
    except ModuleNotFoundError as error:
        _fail(str(missing_extra(error) or error), 2, debug)
    except Exception as error:
        _fail(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it", 1, debug)


def _take_debug(words: list[str]) -> bool:
    """Whether `--debug` stands anywhere on the line before `--`; takes it out."""
    end = words.index("--") if "--" in words else len(words)
    found = "--debug" in words[:end]
    words[:end] = [word for word in words[:end] if word != "--debug"]
    return found


def _is_told_by_first() -> bool:
    """Whether the error under way is one of all processes of a training: one line is enough."""
    error, processes = sys.exception(), sys.modules.get("fruitcnn.training.processes")
    return error is None or processes is None or processes.is_told_by_first(error)


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        raise
    if not ranks().is_first and _is_told_by_first():
        sys.exit(status)
    print(wrapped(f"fruitcnn: {printable(message)}", sys.stderr), file=sys.stderr)
    sys.exit(status)
