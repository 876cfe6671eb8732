"""The `fruitcnn` command: each subcommand parses, imports its stage, calls one function and prints."""

import sys
import warnings
from pathlib import Path
from typing import Any

import click

from fruitcnn import __version__
from fruitcnn.errors import OUT_OF_MEMORY, FruitcnnError, system_error
from fruitcnn.export.formats import FORMATS, export_help, of_every_run  # noqa: TID253 (rows without their writers)
from fruitcnn.extras import missing_extra
from fruitcnn.terminal import flush_standard_output, open_standard_streams, printable, standard_output

_PATH = click.Path(path_type=Path)
_STYLE = {"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True}


@click.group(context_settings=_STYLE)
@click.version_option(__version__, message="%(version)s", help="Print the version and stop.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:
    """From a folder of labelled photographs to a calibrated image classifier that any runtime can use."""


@app.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--model",
    metavar="MODEL",
    help="Checkpoint directory or .onnx file.",
    show_default="newest in ./checkpoints, else shipped",
)
@click.option(
    "--format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="How to write the results; json is one object a line.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Show only the K likeliest labels.",
    show_default="5 in a table, else all",
)
@click.option("--output", type=_PATH, metavar="FILE", help="Write here instead of to standard output.")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@click.option(
    "--refuse-below",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="Call less familiar pictures unknown.",
    show_default="the model's own",
)
@click.option(
    "--explain", type=_PATH, metavar="FOLDER", help="Write each picture with what its answer comes from here."
)
@click.option("--verbose", is_flag=True, help="Say which model answers; in each row of json.")
def identify(paths: tuple[str, ...], **options: Any) -> None:
    """Say what is in pictures.

    PATH is a picture, a folder, a pattern (* and ?), or - for standard input.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some inputs were rejected, 130 or 143 stopped by a signal.
    """
    from fruitcnn.identify.identify_paths import Request, identify_paths

    sys.exit(identify_paths(list(paths), Request(**options)))


@app.command()
@click.argument("model")
def info(model: str) -> None:
    """Show a model's card.

    MODEL is a checkpoint directory or an .onnx file. Its card says labels, input, calibration, and where it comes from.
    """
    from fruitcnn.identify.info import describe

    with standard_output() as stream:
        print(describe(model), file=stream)


@app.command()
@click.argument("model")
@click.option("--data", type=_PATH, required=True, metavar="PATH", help="Folder or CSV of labelled pictures.")
@click.option(
    "--split",
    metavar="NAME",
    help="Which split of it.",
    show_default="test, else validation; all of a set without splits",
)
@click.option("--outside", type=_PATH, metavar="FOLDER", help="Folder of pictures of other things.")
@click.option(
    "--report", type=_PATH, metavar="FOLDER", help="Folder for report.html, predictions.csv and metrics.json."
)
def evaluate(model: str, data: Path, split: str | None, outside: Path | None, report: Path | None) -> None:
    """Say what a model is worth on labelled pictures.

    With 95 % intervals. MODEL is a checkpoint directory or an .onnx file.

    Exit status: 0 all fine, 1 failed, 2 wrong usage, 3 some pictures could not be read.
    """
    from fruitcnn.evaluation.evaluate import evaluate as judge
    from fruitcnn.evaluation.text import left_out, summary

    evaluation = judge(model, data, split, outside, report)
    print(summary(evaluation))
    if report is not None:
        print(printable(f"\nreport: {report / 'report.html'}"))
    print(left_out(evaluation), end="", file=sys.stderr)
    sys.exit(3 if evaluation.unreadable else 0)


@app.command()
@click.argument("config")
@click.option("--data", type=_PATH, metavar="PATH", help="Folder or CSV of labelled pictures.")
@click.option("--name", metavar="NAME", help="Name of the run below ./checkpoints.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Override, as train.epochs=3.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="Where to train.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
def train(
    config: str, data: Path | None, name: str | None, overrides: tuple[str, ...], device: str, resume: bool
) -> None:
    """Train a network and export it.

    It is proven that the exported files agree with it. CONFIG is a recipe: a YAML file, or quick, features, ...
    """
    from fruitcnn.config import load_config

    # A mistake in the recipe is told before the seconds that importing torch takes.
    loaded = load_config(config, list(overrides), data=data)
    from fruitcnn.training import train_config

    train_config(loaded, name=name, device=device, resume=resume, inputs=[Path(config)])


@app.command(help=export_help(), short_help="Export a finished run again.")
@click.argument("checkpoint", type=_PATH)
@click.option("--to", type=_PATH, metavar="FOLDER", help="Folder to write to.", show_default="the checkpoint")
@click.option("--force", is_flag=True, help="Overwrite what is in --to already.")
@click.option(
    "--format",
    metavar="LIST",
    default=",".join(format.name for format in of_every_run()),
    help=f"Any of {', '.join(FORMATS)}, with commas between.",
)
def export(checkpoint: Path, to: Path | None, force: bool, format: str) -> None:
    """Export a finished run again; what the help says besides comes from the list of formats."""
    from fruitcnn.export.exporter import export_formats

    for parity in export_formats(checkpoint, format.split(","), to=to, force=force):
        print(parity)


@app.command()
@click.option("--clear", is_flag=True, help="Remove all of it; what is needed is computed again.")
def cache(clear: bool) -> None:
    """Show what was computed before and is kept, or clear it."""
    from fruitcnn.cache import describe_cache

    print(describe_cache(clear=clear))


def main() -> None:
    """Run the command; every error ends as one line on standard error, or as a traceback with --debug."""
    debug = "--debug" in sys.argv[1:]
    open_standard_streams()
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


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        raise
    print(f"fruitcnn: {printable(message)}", file=sys.stderr)
    sys.exit(status)
