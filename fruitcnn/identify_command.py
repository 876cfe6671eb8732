"""`fruitcnn identify`: its words, for one process or for the parts of a large run."""

from pathlib import Path

import typer

from fruitcnn import options
from fruitcnn.errors import UsageError
from fruitcnn.quick_command import QuickCommand

app = typer.Typer()


@app.command(cls=QuickCommand)
def identify(
    paths: options.Paths = None,
    model: options.ChosenModel = None,
    format: options.RowFormat = None,
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
    from fruitcnn.identify.request import FORMATS, Request

    ending = Path(output or "").suffix.lower()
    request = Request(
        model=model,
        format=format.value if format else FORMATS.get(ending, options.Format.table.value),
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
