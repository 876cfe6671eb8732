"""The folder of a run below ./checkpoints: its name, who may write to it, and which one a resume means."""

import contextlib
import dataclasses
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.config import Config, load_config
from fruitcnn.errors import ConfigError, FruitcnnError, ModelError, UsageError, system_error
from fruitcnn.locks import LOCK, held_folder, remove_abandoned_lock
from fruitcnn.temporaries import is_temporary, remove_temporaries

# What a run has written before its first last.ckpt. A folder with nothing else in it is a run that was stopped in its
# first epoch: nothing in it is worth keeping, and it may be begun again.
_BEGINNING = {checkpoint.CONFIG, checkpoint.SPLIT, checkpoint.METRICS_BY_EPOCH, checkpoint.LOGS, LOCK}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """Which folder below `root` a run is to have.

    name: the run's; None: the recipe's, numbered where it is taken. resume: go on with the run of that name or, where
    none is given, with the newest unfinished run of the recipe.
    """

    name: str | None = None
    resume: bool = False
    root: Path = checkpoint.ROOT


@contextlib.contextmanager
def claimed_run(config: Config, claim: Claim) -> Iterator[Path]:
    """The folder to train in, which nobody else trains in as long as the context lasts: a new one, or one to resume.

    The claim ends with its process, whatever ends that. Raises UsageError, ConfigError and ModelError.
    """
    name, root = claim.name, claim.root
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise UsageError("is not a plain name", value=f"--name {name}", remedy="give a name without folders")
    begun = [root]
    try:
        with contextlib.ExitStack() as held:
            try:
                if claim.resume:
                    folder = _unfinished(config, name, root)
                    held.enter_context(held_folder(folder))
                    _check_resumable(config, folder)
                else:
                    root.mkdir(parents=True, exist_ok=True)
                    folder = _take(root / name, held) if name else _take_numbered(root, config.name, held)
                remove_temporaries(folder)
            except OSError as error:
                raise system_error(error, FruitcnnError) from error
            begun.insert(0, folder)
            yield folder
    except BaseException:
        # Folders that hold nothing are not left behind.
        for path in begun:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _take_numbered(root: Path, name: str, held: contextlib.ExitStack) -> Path:
    for number in itertools.count(1):
        try:
            return _take(root / (name if number == 1 else f"{name}-{number}"), held)
        except UsageError:
            continue
    raise AssertionError


def _take(folder: Path, held: contextlib.ExitStack) -> Path:
    """Make the folder and hold it; one that is there must hold no more than a beginning."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    with contextlib.ExitStack() as taken:
        if folder.is_dir():
            taken.enter_context(held_folder(folder))
            there = [path for path in folder.iterdir() if not is_temporary(path)]
            # A link leads to files that are not the run's.
            if all(path.name in _BEGINNING and not path.is_symlink() for path in there):
                held.push(taken.pop_all())
                return folder
    more = "" if (folder / checkpoint.METRICS).exists() else ", or go on with --resume"
    raise UsageError("exists already", value=folder, remedy=f"choose another --name{more}")


def _unfinished(config: Config, name: str | None, root: Path) -> Path:
    """The run of that name, or the recipe's run that was begun last, among those without their last result."""
    numbered = re.compile(re.escape(config.name) + r"(-\d+)?")
    there = list(root.iterdir()) if root.is_dir() else []
    begun = [path for path in there if (path.name == name if name else numbered.fullmatch(path.name)) and path.is_dir()]
    unfinished = [folder for folder in begun if not (folder / checkpoint.METRICS).exists()]
    if not unfinished:
        for folder in begun:
            # Of a process that was killed when all was done.
            remove_abandoned_lock(folder)
        if not begun:
            raise UsageError("no such run", value=root / (name or config.name), remedy="start one without --resume")
        newest = max(begun, key=_begun_at)
        remedy = f"to train it further, start a run from its weights: --set {shlex.quote(f'model.weights={newest}')}"
        raise UsageError("is finished already", value=newest, remedy=remedy)
    return max(unfinished, key=_begun_at)


def _begun_at(folder: Path) -> float:
    settings = folder / checkpoint.CONFIG
    return (settings if settings.exists() else folder).stat().st_mtime


def _check_resumable(config: Config, folder: Path) -> None:
    """Refuse a run that was begun with other settings, or whose files were taken away."""
    if (folder / checkpoint.LAST).exists():
        missing = [name for name in (checkpoint.CONFIG, checkpoint.SPLIT) if not (folder / name).exists()]
        if missing:
            remedy = "put it back, or start another run"
            raise ModelError(f"has a {checkpoint.LAST}, but no {missing[0]}", value=folder, remedy=remedy)
    if not (folder / checkpoint.CONFIG).exists():
        return
    before = load_config(folder / checkpoint.CONFIG).model_dump()
    changed = [key for key, value in config.model_dump().items() if before[key] != value]
    if changed:
        problem = f"was begun with other settings in: {', '.join(changed)}"
        raise ConfigError(
            problem, value=folder, remedy="give the same photographs, recipe and settings as at its start"
        )
