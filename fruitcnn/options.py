"""The arguments and options of `identify`, and what several commands share: names, help, what a shell offers."""

import enum
import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from fruitcnn.completion import complete_model, complete_recipe

MODEL_HELP = "Name (`fruitcnn models` lists them), checkpoint directory or .onnx file."


class Format(enum.StrEnum):
    """How results are written."""

    table = "table"
    json = "json"
    csv = "csv"
    spreadsheet = "spreadsheet"
    parquet = "parquet"


class Engine(enum.StrEnum):
    """What works off the parts of a large run."""

    dask = "dask"


class Device(enum.StrEnum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class LogFormat(enum.StrEnum):
    """How a server writes its log."""

    text = "text"
    json = "json"


Paths: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...", help="Picture, folder of pictures, video, glob, http(s) address, or - for standard input."
    ),
]
ChosenModel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        autocompletion=complete_model,
        help=MODEL_HELP,
        show_default="newest run in ./checkpoints, else the shipped model",
    ),
]
# The same as an argument.
GivenModel: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        autocompletion=complete_model,
        help=MODEL_HELP,
        show_default="the one that answers by default",
    ),
]
ChosenRecipe: TypeAlias = Annotated[
    str,
    typer.Option(
        "--recipe",
        "-r",
        metavar="RECIPE",
        help="One of `fruitcnn recipes`, or a YAML file.",
        autocompletion=complete_recipe,
    ),
]
RowFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="table; json: one object a line; csv; spreadsheet: csv without formulas; parquet.",
        show_default="by the ending of --output, else table",
    ),
]
Top: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--top",
        "-k",
        min=1,
        metavar="K",
        help="Show only the K likeliest labels.",
        show_default="5 in a table, else all",
    ),
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here instead of to standard output.")
]
# As a text: a path forgets how it ended.
OutputOrParts: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write here instead of to standard output; DIR/: Parquet in parts.",
    ),
]
ReplaceOutput: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
RefuseBelow: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, metavar="P", help="Call less familiar pictures unknown.", show_default="the model's own"
    ),
]
Explain: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Write each picture with what its answer comes from here.")
]
Sort: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Copy each picture into a folder of its answer in here, and list them."),
]
Link: TypeAlias = Annotated[bool, typer.Option("--link", help="With --sort: link instead of copying.")]
Every: TypeAlias = Annotated[
    float, typer.Option(min=0.001, metavar="SECONDS", help="From one frame of a video or camera to the next.")
]
Camera: TypeAlias = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Identify what this camera sees, until Ctrl-C; the first is 0.")
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on with what a stopped command left of the output, NAME.partial.")
]
Verbose: TypeAlias = Annotated[bool, typer.Option("--verbose", help="Say which model answers; in each row of json.")]
Part: TypeAlias = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", help="Of parts: do the K-th of N shares."),
]
ChosenEngine: TypeAlias = Annotated[Engine | None, typer.Option("--engine", help="Of parts: what starts workers.")]
Address: TypeAlias = Annotated[
    str | None, typer.Option("--address", metavar="tls://...", help="With --engine: join this cluster.")
]
Workers: TypeAlias = Annotated[
    int, typer.Option("--workers", min=0, metavar="N", help="With --engine: so many.", show_default="one for each core")
]
PerPart: TypeAlias = Annotated[int, typer.Option("--per-part", min=1, metavar="N", help="Pictures of a part.")]
Threads: TypeAlias = Annotated[
    int, typer.Option("--threads", min=0, metavar="N", help="So many threads.", show_default="one for each core")
]


def is_folder(output: str | None) -> bool:
    """Whether an output is meant as a folder: it is one, or ends as one."""
    return output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())
