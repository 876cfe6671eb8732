"""What `fruitcnn identify` is asked for, besides the pictures."""

import dataclasses
from pathlib import Path

# The format of --format that is no text.
PARQUET = "parquet"
# What the ending of an output's name asks for.
FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": PARQUET}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What `fruitcnn identify` was asked for, besides the pictures.

    refuse_below: the familiarity below which a picture is unknown, instead of the card's. explain: a folder for the
    pictures with what spoke for their answers. sort: a folder for copies of the pictures (link: for links to them), in
    a folder for each answer. every: seconds from one frame of a video to the next. resume: go on with the rows that a
    stopped command has left beside the output. camera: the number of one, whose pictures come last. threads: 0 is one
    for each core.
    """

    model: str | None = None
    format: str = "table"
    top: int | None = None
    output: Path | None = None
    force: bool = False
    verbose: bool = False
    refuse_below: float | None = None
    explain: Path | None = None
    sort: Path | None = None
    link: bool = False
    every: float = 1.0
    resume: bool = False
    camera: int | None = None
    threads: int = 0
