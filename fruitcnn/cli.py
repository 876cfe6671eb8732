"""The `fruitcnn` command: each subcommand parses, imports its stage, calls one function and prints."""

import importlib
import os
import sys
import warnings
from collections.abc import Iterable
from typing import Annotated

import typer

from fruitcnn import __version__
from fruitcnn.errors import OUT_OF_MEMORY, FruitcnnError, system_error
from fruitcnn.extras import missing_extra
from fruitcnn.quick_command import QuickGroup
from fruitcnn.ranks import ranks
from fruitcnn.signals import end_inside_libraries
from fruitcnn.terminal import flush_standard_output, open_standard_streams, printable, wrapped

# The module of each subcommand, in the order of the help.
MODULES = {
    "identify": "identify_command",
    "merge": "merge_command",
    "serve": "serve_command",
    "evaluate": "evaluate_command",
    "label-next": "label_next_command",
    "dataset": "dataset_command",
    "train": "train_command",
    "tune": "tune_command",
    "export": "export_command",
    **dict.fromkeys(("info", "models", "recipes", "cache"), "show_commands"),
}


def command_line(names: Iterable[str] = MODULES) -> typer.Typer:
    """The command with these subcommands."""
    app = typer.Typer(
        cls=QuickGroup,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(_top)
    for module in dict.fromkeys(MODULES[name] for name in names):
        app.add_typer(importlib.import_module(f"fruitcnn.{module}").app)
    return app


def _top(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """From a folder of labelled photographs to a calibrated image classifier that any runtime can use."""
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command; every error ends as one line on standard error, or as a traceback with --debug."""
    debug = _take_debug(sys.argv)
    # To import and to build all of them takes a twentieth of the time of a cold `identify`.
    named = [word for word in sys.argv[1:2] if word in MODULES]
    open_standard_streams()
    end_inside_libraries()
    # numpy's threads, not there yet, would spin 2^26 cycles after each product: fitting would take twice the processor
    # time for the same seconds.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "12")
    # Pillow warns of pictures that are odd but readable; here a picture is either identified or rejected.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        try:
            command_line(named or MODULES)()
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
    except ImportError as error:
        # What the system's loader says of a library for which there is no room, or a part of which is not there.
        if "shared object" not in str(error):
            _fail_internally(error, debug)
        _fail(f"a library can't be loaded ({error}); close other programs, or install it again", 1, debug)
    except Exception as error:
        _fail_internally(error, debug)


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


def _fail_internally(error: Exception, debug: bool) -> None:
    _fail(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it", 1, debug)


def _fail(message: str, status: int, debug: bool) -> None:
    if debug:
        raise
    if not ranks().is_first and _is_told_by_first():
        sys.exit(status)
    print(wrapped(f"fruitcnn: {printable(message)}", sys.stderr), file=sys.stderr)
    sys.exit(status)
