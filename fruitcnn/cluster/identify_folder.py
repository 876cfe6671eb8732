"""The whole of `fruitcnn identify SOURCE --output DIR/`: a list, then the parts that are missing."""

import collections
import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from fruitcnn.cluster.manifest import MANIFEST, MODEL, Begun, Manifest, sha256_of, write_manifest
from fruitcnn.cluster.name_list import is_name_file, write_names
from fruitcnn.cluster.name_stream import streamed_names
from fruitcnn.cluster.parts import Counts, part_counts, part_file, parts_there
from fruitcnn.cluster.share import Share, write_share
from fruitcnn.errors import FruitcnnError, UsageError, system_error
from fruitcnn.identify.identify_paths import FINE, SOME_REJECTED, load_identifier
from fruitcnn.identify.request import PARQUET, Request
from fruitcnn.identify.tally import Tally
from fruitcnn.locks import LOCK, HeldError, held_when_free
from fruitcnn.models import choose_model, model_name
from fruitcnn.options import is_folder
from fruitcnn.outputs import written_whole
from fruitcnn.progress import Progress
from fruitcnn.temporaries import is_temporary, remove_temporaries
from fruitcnn.terminal import printable

_TITLE = "identifying pictures"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """How the parts of a folder are worked off.

    part: which of them, by this process, as "3/8". engine: "dask" on worker processes of this machine, so many (0: one
    for each core), or on the cluster of an address. per_part: pictures of a part.
    """

    part: str | None = None
    engine: str | None = None
    address: str | None = None
    workers: int = 0
    per_part: int = 4096


def identify_folder(sources: list[str], output: str | None, request: Request, work: Work) -> int:
    """Identify all that the sources mean into parts in a folder; returns the exit status. Raises FruitcnnError."""
    share = Share() if work.part is None else Share.parse(work.part)
    folder = _checked_folder(output, request, work)
    try:
        manifest = _begun(sources, folder, request, work)
        return _write_missing(folder, manifest, share, request, work)
    except OSError as error:
        raise system_error(error, FruitcnnError, value=error.filename or folder) from error


def _checked_folder(output: str | None, request: Request, work: Work) -> Path:
    """The folder to write to. Raises UsageError for options that do not go together."""
    if output is None or not is_folder(output) or Path(output).is_file():
        problem = "is no folder; parts, shares and engines want one"
        raise UsageError(problem, value=output or "standard output", remedy="name one that ends in / (--output DIR/)")
    options: dict[str, object] = {
        "--explain": request.explain,
        "--sort": request.sort,
        "--force": request.force or None,
    }
    options |= {"--resume": request.resume or None, "--camera": request.camera}
    for option, value in options.items():
        if value is not None:
            raise UsageError(
                "is not for a folder of parts", value=option, remedy="leave it out, or name a file (--output)"
            )
    if request.format not in ("table", PARQUET):
        remedy = f"leave it out, and make it of the parts: fruitcnn merge {shlex.quote(output)} --output FILE"
        raise UsageError("is no format of parts, which are Parquet", value=request.format, remedy=remedy)
    if work.engine is None and (work.address or work.workers):
        raise UsageError(
            "is for an engine", value="--address" if work.address else "--workers", remedy="add --engine dask"
        )
    if work.engine is not None and work.part is not None:
        raise UsageError("is for runs without an engine", value="--part", remedy="leave it out, or --engine")
    if not Path(output).absolute().parent.is_dir():
        raise UsageError("no such folder", value=Path(output).absolute().parent, remedy="make it first")
    return Path(output)


def _begun(sources: list[str], folder: Path, request: Request, work: Work) -> Manifest:
    """The run of a folder, begun here where it was not before. Raises UsageError where it was begun with others."""
    choice = choose_model(request.model)
    # Refuses what the model does not understand before anything is written.
    load_identifier(choice, request, once=True)
    begun = Begun.from_arguments(
        sources,
        {"name": model_name(choice.file), "sha256": sha256_of(choice.file)},
        {
            "per_part": work.per_part,
            "top": request.top,
            "refuse_below": request.refuse_below,
            "every": request.every,
        },
    )
    folder.mkdir(exist_ok=True)
    if not (folder / MANIFEST).exists():
        # Of those that are started together one writes the list, and the others wait for it.
        with held_when_free(folder, tell=lambda error: _tell_of_waiting(folder, error)):
            if not (folder / MANIFEST).exists():
                _begin(sources, folder, choice.file, begun)
    manifest = Manifest.read(folder)
    if difference := manifest.begun.difference(begun):
        remedy = "name another folder, or give what it was begun with"
        raise UsageError(f"was begun with {difference}", value=folder, remedy=remedy)
    return manifest


def _tell_of_waiting(folder: Path, error: HeldError) -> None:
    print(f"waiting for the list of {printable(str(folder))}: {error.problem}", file=sys.stderr)


def _begin(sources: list[str], folder: Path, model: Path, begun: Begun) -> None:
    """Write a copy of the model, the list and, when these are whole, the manifest."""
    remove_temporaries(folder)
    _check_own(folder)
    with written_whole(folder / MODEL) as temporary:
        shutil.copyfile(model, temporary)
    with Progress("listing pictures", 0) as progress:
        names = write_names(folder, streamed_names(sources), begun.settings["per_part"], watch=_shown(progress))
    write_manifest(folder, begun, names)


def _shown(progress: Progress) -> Callable[[int], None]:
    return lambda count: progress.advance(0, title=f"listing pictures: {count:,}")


def _check_own(folder: Path) -> None:
    """Raise UsageError where a folder holds what an unfinished beginning of ours does not leave."""
    for path in folder.iterdir():
        if path.name not in (LOCK, MODEL) and not is_name_file(path) and not is_temporary(path):
            problem = f"has other files in it ({printable(path.name)})"
            raise UsageError(problem, value=folder, remedy="name a new or empty folder")


def _write_missing(folder: Path, manifest: Manifest, share: Share, request: Request, work: Work) -> int:
    """Write the parts that are missing; returns the exit status."""
    remove_temporaries(folder)
    there = parts_there(folder)
    ours = [one for one in manifest.names.ranges() if share.has(one[0], work.per_part)]
    missing = [one for one in ours if there.get(one[0]) != one[1]]
    before = collections.Counter[str]()
    for low, high in ours:
        if there.get(low) == high:
            before.update(part_counts(part_file(folder, low, high), manifest))
    tally = Tally(before)
    total = sum(high - low for low, high in ours)
    done = total - sum(high - low for low, high in missing)
    with Progress(_TITLE, total, done=done) as progress:

        def watch(counts: Counts) -> None:
            tally.add_counts(counts)
            exceptions = tally.exceptions
            progress.advance(sum(counts.values()), title=f"{_TITLE}, {exceptions}" if exceptions else _TITLE)

        if missing:
            if work.engine is None:
                write_share(folder, missing, threads=request.threads, watch=watch)
            else:
                _write_with_engine(folder, manifest, missing, work, watch)
    print(f"{tally if missing else 'nothing was missing'}; parts in {printable(str(folder))}", file=sys.stderr)
    return SOME_REJECTED if tally.has_rejected else FINE


def _write_with_engine(
    folder: Path, manifest: Manifest, missing: list[tuple[int, int]], work: Work, watch: Callable[[Counts], None]
) -> None:
    from fruitcnn.cluster.dask_engine import joined_cluster, local_cluster, write_with_dask

    cluster = joined_cluster(work.address) if work.address else local_cluster(work.workers or os.cpu_count() or 1)
    with cluster as client:
        write_with_dask(client, folder, manifest.id, missing, watch)
