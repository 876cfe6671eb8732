"""The whole of `fruitcnn identify`, from arguments to text and exit status."""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from PIL import Image

from fruitcnn import cells
from fruitcnn.errors import ImageError, UsageError
from fruitcnn.identify.addresses import shown_address
from fruitcnn.identify.camera import camera_frames, camera_name
from fruitcnn.identify.columns import Columns
from fruitcnn.identify.explain import Explainer, shown_picture
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.inputs import STDIN, expanded, expected_rows, fetched, is_one, read
from fruitcnn.identify.request import PARQUET, Request
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.rows import opened_rows, write_rows
from fruitcnn.identify.sort import Sorter
from fruitcnn.identify.tally import Tally
from fruitcnn.identify.video import frame_name, frames, is_video
from fruitcnn.identify.writers import ROW_FORMATS
from fruitcnn.image import Source
from fruitcnn.models import ModelChoice, choose_model
from fruitcnn.outputs import check_output, is_stream
from fruitcnn.progress import Progress
from fruitcnn.runtime import give_freed_memory_back
from fruitcnn.terminal import Screen, printable

FINE, SOME_REJECTED = 0, 3
# A line holds that many labels, if nobody asks for more or fewer.
_TABLE_LABELS = 5
_TITLE = "identifying pictures"


def identify_paths(paths: list[str], request: Request) -> int:
    """Identify all that `paths` mean and write it to the output or standard output; returns the exit status."""
    choice = choose_model(request.model)
    # All of them before anything is written: what this command writes is none of its inputs.
    names = expanded(paths)
    _check_outputs(request, [choice.file, *(0 if name == STDIN else name for name in names if isinstance(name, str))])
    one = is_one(paths) and request.camera is None
    if one:
        give_freed_memory_back()
    identifier = load_identifier(choice, request, once=one)
    explainer = None if request.explain is None else Explainer(request.explain, identifier)
    sorter = None if request.sort is None else Sorter(request.sort, identifier.card.labels, link=request.link)
    live, expected = request.camera is not None, expected_rows(names, request.every)
    # One picture is there before a bar could be.
    has_many = live or expected > 1
    with opened_rows(names, identifier, request, one=one) as rows, sorter or contextlib.nullcontext():
        progress, tally = Progress(_TITLE, 0 if live else expected, done=rows.done), Tally(rows.kinds)
        sources = named_sources(names, request.every, kept=sorter is not None)
        found = answered(identifier, itertools.islice(sources, rows.done, None), explainer, sorter)
        results = itertools.chain(found, _live(identifier, request, explainer, sorter))
        columns = _columns(identifier, names, request, Screen.behind(rows.stream))
        with progress if has_many else contextlib.nullcontext():
            counted = _counted(results, request, tally, progress)
            if request.format == PARQUET:
                from fruitcnn.cluster.parquet_rows import ParquetRows, binary

                ParquetRows(columns).write(counted, binary(rows.stream), {})
            else:
                row_format = ROW_FORMATS[request.format]
                lines = row_format.lines(counted, columns)
                write_rows(itertools.islice(lines, rows.has_header, None), rows.stream, row_format, progress)
    if has_many and Screen.behind(sys.stderr):
        where = "" if request.sort is None else f", sorted into {printable(str(request.sort))}"
        print(f"{tally}{where}", file=sys.stderr)
    return SOME_REJECTED if tally.has_rejected else FINE


def _check_outputs(request: Request, inputs: list[str | Path | int]) -> None:
    """Refuse an output that would cost a file, or stand among others of its kind."""
    if request.link and request.sort is None:
        raise UsageError("says how to sort, and nothing is sorted", value="--link", remedy="add --sort FOLDER")
    folders = [folder.resolve() for folder in (request.explain, request.sort) if folder is not None]
    if len(set(folders)) < len(folders):
        raise UsageError("is named twice", value=request.sort, remedy="name a folder for --sort, another for --explain")
    if request.resume and (request.output is None or folders):
        problem = "goes on with an --output" if request.output is None else "goes on with an --output alone"
        remedy = "add --output FILE" if request.output is None else "leave out --sort and --explain"
        raise UsageError(problem, value="--resume", remedy=remedy)
    if request.resume and request.format == PARQUET:
        remedy = "leave it out, or name a folder (--output DIR/), where parts stay"
        raise UsageError("goes on with rows of text", value="--resume", remedy=remedy)
    if request.resume and (0 in inputs or request.camera is not None):
        value = "standard input" if 0 in inputs else "--camera"
        raise UsageError("can't be read again", value=value, remedy="leave out --resume")
    if request.output is None:
        return
    if any(request.output.resolve().is_relative_to(folder) for folder in folders):
        problem = "lies in a folder that is for pictures alone (--explain, --sort)"
        raise UsageError(problem, value=request.output, remedy="name a file elsewhere")
    check_output(request.output, force=request.force, inputs=inputs)
    if request.resume and is_stream(request.output):
        raise UsageError("is a stream, of which nothing is kept", value=request.output, remedy="leave out --resume")


def load_identifier(choice: ModelChoice, request: Request, *, once: bool) -> Identifier:
    """The model, refusing as the request says."""
    # A camera's pictures come one by one.
    many = not once and request.camera is None
    identifier = Identifier.load(choice.file, once=once, many=many, threads=request.threads)
    if request.refuse_below is not None:
        if not 0 <= request.refuse_below <= 1:
            problem = "is no familiarity"
            raise UsageError(problem, value=request.refuse_below, remedy="give one from 0 to 1 (--refuse-below)")
        if not identifier.has_familiarity:
            problem = "does not say how familiar a picture is"
            raise UsageError(problem, value=choice.file, remedy="leave out --refuse-below, or use another model")
        identifier.refuse_below = request.refuse_below
    # Which model answers can depend on the folder that one stands in: never in silence.
    choice.tell("identified by", verbose=request.verbose)
    return identifier


def _columns(identifier: Identifier, names: list[str | Rejection], request: Request, screen: Screen | None) -> Columns:
    shown = [printable(_longest_name(name, request.every)) for name in names]
    if request.camera is not None:
        shown.append(frame_name(camera_name(request.camera), 0, request.every))
    return Columns(
        identifier.card.labels,
        familiarity=identifier.has_familiarity,
        model=identifier.identity() if request.verbose else None,
        screen=screen,
        longest_name=0 if screen is None else max(map(cells.width, shown)),
    )


def _longest_name(name: str | Rejection, every: float) -> str:
    """The longest that the rows of a name are named after."""
    if isinstance(name, Rejection):
        return name.file
    return frame_name(name, 0, every) if is_video(name) else shown_address(name)


def _counted(
    results: Iterable[Identification | Rejection], request: Request, tally: Tally, progress: Progress
) -> Iterator[Identification | Rejection]:
    """The results, with at most so many labels, counted as they go by."""
    most = request.top or (_TABLE_LABELS if request.format == "table" else None)
    for result in results:
        tally.add(result)
        yield result if isinstance(result, Rejection) else result.top(most)
        # A camera has no end that a bar could show.
        progress.advance(title=None if progress.total else f"{_TITLE}: {tally}")


def answered(
    identifier: Identifier,
    sources: Iterable[tuple[str, Source] | Rejection],
    explainer: Explainer | None = None,
    sorter: Sorter | None = None,
) -> Iterator[Identification | Rejection]:
    """A result for each of `named_sources`, in order, explained and sorted where that is asked for."""
    # Runs of sources are answered several at a time; a name that means nothing keeps its place between them.
    for rejected, items in itertools.groupby(sources, key=lambda item: isinstance(item, Rejection)):
        if rejected:
            for rejection in cast(Iterator[Rejection], items):
                if sorter is not None:
                    sorter.place(None, rejection)
                yield rejection
            continue
        named, again = itertools.tee(cast(Iterator[tuple[str, Source]], items))
        answers = _answers(identifier, (source for _, source in again), explained=explainer is not None)
        for (name, source), (answer, image) in zip(named, answers, strict=True):
            result = dataclasses.replace(answer, file=name)
            if explainer is not None and image is not None and isinstance(result, Identification):
                explainer.write(image, result)
            if sorter is not None:
                sorter.place(source, result)
            yield result


def _live(
    identifier: Identifier, request: Request, explainer: Explainer | None, sorter: Sorter | None
) -> Iterator[Identification | Rejection]:
    """The pictures of a camera, if one is asked for, each answered when it is seen and not with the next ones."""
    if request.camera is None:
        return
    try:
        for name, picture in camera_frames(request.camera, request.every):
            source = picture if sorter is None else fetched(picture)
            yield from answered(identifier, [(name, source)], explainer, sorter)
    except ImageError as error:
        yield Rejection.of(camera_name(request.camera), error)


def _answers(
    identifier: Identifier, sources: Iterator[Source], *, explained: bool
) -> Iterator[tuple[Identification | Rejection, Image.Image | None]]:
    """Each result, with what is to be shown of its picture."""
    if explained:
        return identifier.observe_many(sources, shown_picture, evidence=True)
    return ((result, None) for result in identifier.identify_many(sources))


def named_sources(
    names: Iterable[str | Rejection], every: float, *, kept: bool = False
) -> Iterator[tuple[str, Source] | Rejection]:
    """What the names mean: a picture each, or a video's frames, one in `every` seconds.

    kept: what comes from no file as its bytes, for who needs them again.
    """
    for name in names:
        if isinstance(name, Rejection):
            yield name
            continue
        try:
            for shown, source in frames(name, every) if is_video(name) else [(shown_address(name), read(name))]:
                yield shown, fetched(source) if kept else source
        except ImageError as error:
            yield Rejection.of(shown_address(name), error)
