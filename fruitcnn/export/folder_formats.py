"""Formats that are folders: each is whole in its place or not there, and never over what is none of ours."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from fruitcnn.errors import UsageError
from fruitcnn.export.formats import Format, load_function
from fruitcnn.outputs import written_folder


def check_folder(format: Format, path: Path, *, force: bool) -> list[str] | None:
    """What of an earlier export at `path` a new one does not replace, by name; None where nothing is there.

    force: whatever folder is there may be written into. Raises UsageError for what is not written into.
    """
    if not os.path.lexists(path):
        return None
    if not path.is_dir():
        raise UsageError("is not a folder", value=path, remedy="move it away, or name another folder (--to)")
    if not any(path.iterdir()):
        return None
    old: list[str] | None = load_function(format.earlier)(path)
    if old is None and not force:
        problem = f"holds something other than an earlier {format.name} of fruitcnn"
        raise UsageError(problem, value=path, remedy="name another folder (--to), or add --force")
    return old or []


@contextlib.contextmanager
def exported_folder(format: Format, path: Path, *, force: bool) -> Iterator[Path]:
    """Yield a folder to write into and to prove, which then becomes `path` or, of an earlier export, its files do.

    Raises UsageError as `check_folder`.
    """
    old = check_folder(format, path, force=force)
    with written_folder(path, replace=old is not None) as folder:
        yield folder
        new = {entry.name for entry in folder.iterdir()}
    for name in set(old or ()) - new:
        shutil.rmtree(path / name)
