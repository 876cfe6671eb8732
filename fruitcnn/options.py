"""The arguments and options of `identify`, and what several commands share: names, help, what a shell offers."""

import enum
import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from fruitcnn.completion import complete_model, complete_recipe

MODEL_HELP = "Name of a model (`fruitcnn models` lists them), checkpoint folder or .onnx file."
LABELLED_HELP = "Folder with a folder for each class, or CSV with file,label."
SET_HELP = "Change a setting of the recipe, as in train.epochs=3; can be repeated."
DEVICE_HELP = "Processor to train on; auto: a GPU where there is one."


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
        metavar="PATH", help="Picture, folder, video, pattern (*.jpg), http(s) address, or - for standard input."
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
        help="Name of a recipe (`fruitcnn recipes` lists them), or YAML file.",
        autocompletion=complete_recipe,
    ),
]
RowFormat: TypeAlias = Annotated[
    Format | None,
    typer.Option(
        "--format",
        "-f",
        metavar="FORMAT",
        help="table; json: one object per line; csv; spreadsheet: CSV without formulas; parquet.",
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
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write instead of standard output.")
]
# As a text: a path forgets how it ended.
OutputOrParts: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write instead of standard output; DIR/: a folder of Parquet files.",
    ),
]
ReplaceOutput: TypeAlias = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
RefuseBelow: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="P",
        help="Call pictures that are less familiar than this unknown.",
        show_default="the model's own",
    ),
]
Explain: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Save each picture here, shaded by what speaks for its answer.")
]
Sort: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Copy each picture into a subfolder named after its answer, and list them."),
]
Link: TypeAlias = Annotated[
    bool, typer.Option("--link", help="Link to the pictures instead of copying them (with --sort).")
]
Every: TypeAlias = Annotated[
    float, typer.Option(min=0.001, metavar="SECONDS", help="Time between the frames of a video or camera.")
]
Camera: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Identify what this camera sees, until Ctrl-C; the first camera is 0."),
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Continue what a stopped command has left, OUTPUT.partial.")
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", help="Say which model answers, in each row of JSON too.")
]
Part: TypeAlias = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", help="Process only share K of N (with --output DIR/)."),
]
ChosenEngine: TypeAlias = Annotated[
    Engine | None, typer.Option("--engine", help="Start workers by Dask (with --output DIR/).")
]
Address: TypeAlias = Annotated[
    str | None,
    typer.Option("--address", metavar="tls://...", help="Use the Dask cluster at this address (with --engine)."),
]
Workers: TypeAlias = Annotated[
    int,
    typer.Option(
        "--workers",
        min=0,
        metavar="N",
        help="Number of Dask workers (with --engine).",
        show_default="one for each core",
    ),
]
PerPart: TypeAlias = Annotated[
    int, typer.Option("--per-part", min=1, metavar="N", help="Pictures per Parquet file (with --output DIR/).")
]
Threads: TypeAlias = Annotated[
    int,
    typer.Option("--threads", min=0, metavar="N", help="Pictures processed at once.", show_default="one for each core"),
]


def is_folder(output: str | None) -> bool:
    """Whether an output is meant as a folder: it is one, or ends as one."""
    return output is not None and (output.endswith(("/", os.sep)) or Path(output).is_dir())
