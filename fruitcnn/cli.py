"""The `fruitcnn` command: each subcommand parses, imports its stage, calls one function and prints."""

import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import __version__, options
from fruitcnn.completion import complete_formats, complete_model, complete_recipe
from fruitcnn.dataset_command import app as dataset_app
from fruitcnn.errors import OUT_OF_MEMORY, FruitcnnError, UsageError, system_error
from fruitcnn.export.formats import FORMATS, export_help, of_every_run  # noqa: TID253 (rows without their writers)
from fruitcnn.extras import missing_extra, require_extras
from fruitcnn.quick_command import QuickCommand, QuickGroup
from fruitcnn.ranks import ranks
from fruitcnn.recipes import DEFAULT, find_recipe
from fruitcnn.signals import end_inside_libraries
from fruitcnn.terminal import (
    flush_standard_output,
    open_standard_streams,
    print_wrapped,
    printable,
    standard_output,
    wrapped,
)
from fruitcnn.train_command import TrainCommand, check_photographs, training_settings

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


@app.command(cls=QuickCommand)
def identify(
    paths: options.Paths = None,
    model: options.ChosenModel = None,
    format: options.RowFormat = options.Format.table,
    top: options.Top = None,
    output: options.OutputOrParts = None,
    force: options.ReplaceOutput = False,
    refuse_below: options.RefuseBelow = None,
    explain: options.Explain = None,
    sort: options.Sort = None,
    link: options.Link = False,
    every: options.Every = 1.0,
    camera: options.Camera = None,
    resume: options.Resume = False,
    threads: options.Threads = 0,
    part: options.Part = None,
    engine: options.ChosenEngine = None,
    address: options.Address = None,
    workers: options.Workers = 0,
    per_part: options.PerPart = 4096,
    verbose: options.Verbose = False,
) -> None:
    """Say what is in pictures.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some inputs were rejected, 130 or 143 stopped by a signal.
    """
    if not paths and camera is None:
        raise UsageError("nothing to identify", remedy="give a PATH (a picture, a folder, ...), or --camera N")
    from fruitcnn.identify.identify_paths import identify_paths
    from fruitcnn.identify.request import Request

    request = Request(
        model=model,
        format=format.value,
        top=top,
        output=None if output is None else Path(output),
        force=force,
        verbose=verbose,
        refuse_below=refuse_below,
        explain=explain,
        sort=sort,
        link=link,
        every=every,
        resume=resume,
        camera=camera,
        threads=threads,
    )
    if part or engine or address or workers or options.is_folder(output):
        from fruitcnn.cluster.identify_folder import Work, identify_folder

        work = Work(part=part, engine=engine, address=address, workers=workers, per_part=per_part)
        raise typer.Exit(identify_folder(paths or [], output, request, work))
    raise typer.Exit(identify_paths(paths or [], request))


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


@app.command(cls=QuickCommand)
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", autocompletion=complete_model, help=options.MODEL_HELP)],
    data: Annotated[Path, typer.Option(help="Folder or CSV of labelled pictures.")],
    split: Annotated[
        str | None,
        typer.Option(help="Which split of it.", show_default="test, else validation; all of a set without splits"),
    ] = None,
    outside: Annotated[Path | None, typer.Option(help="Folder of pictures of other things.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html, predictions.csv and metrics.json.")
    ] = None,
) -> None:
    """Say what a model is worth on labelled pictures, with 95 % intervals.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some pictures could not be read.
    """
    from fruitcnn.evaluation.evaluate import evaluate as judge
    from fruitcnn.evaluation.text import left_out, summary
    from fruitcnn.models import choose_model

    choice = choose_model(model)
    choice.tell("evaluating")
    evaluation = judge(choice.file, data, split, outside, report)
    print(summary(evaluation))
    if report is not None:
        print(printable(f"\nreport: {report / 'report.html'}"))
    print(left_out(evaluation), end="", file=sys.stderr)
    raise typer.Exit(3 if evaluation.unreadable else 0)


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


@app.command(cls=TrainCommand)
def train(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="PHOTOGRAPHS", help="Folder with a folder for each class, or CSV with file,label."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            metavar="RECIPE",
            help="One of `fruitcnn recipes`, or a YAML file.",
            autocompletion=complete_recipe,
        ),
    ] = DEFAULT,
    epochs: Annotated[int | None, typer.Option(help="How often it learns from each picture.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the network's input, in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same one gives the same run, its split too.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run below ./checkpoints.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="Set a key of the recipe, as train.epochs=3."),
    ] = None,
    device: Annotated[options.Device, typer.Option(help="Where to train.")] = options.Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train a network, export it and prove that the exported files agree with it."""
    # A mistake in these is told before the seconds that importing torch takes.
    check_photographs(data)
    find_recipe(recipe)
    from fruitcnn.config import load_config

    loaded = load_config(recipe, training_settings(set_, epochs=epochs, size=size, seed=seed), data=data)
    from fruitcnn.runs.folder import Claim
    from fruitcnn.runs.stages import train_config

    claim, inputs = Claim(name=name, resume=resume), [Path(recipe)]
    train_config(loaded, claim, device=device.value, inputs=inputs, print_line=print_wrapped)


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


@app.command(cls=QuickCommand, help=export_help())
def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", autocompletion=complete_model, help="Checkpoint directory or name of a run."
        ),
    ],
    to: Annotated[Path | None, typer.Option(help="Folder to write to.", show_default="the checkpoint")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is in --to already.")] = False,
    format: Annotated[
        str,
        typer.Option(
            metavar="LIST", autocompletion=complete_formats, help=f"Any of {', '.join(FORMATS)}, with commas between."
        ),
    ] = ",".join(format.name for format in of_every_run()),
) -> None:
    """Export a finished run again; what the help says besides comes from the list of formats."""
    from fruitcnn.export.exporter import export_formats

    for parity in export_formats(checkpoint, format.split(","), to=to, force=force):
        print_wrapped(str(parity))


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
