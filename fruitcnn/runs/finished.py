"""Training from Python: pictures in, a finished run out."""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fruitcnn import checkpoint
from fruitcnn.config import Config, load_config
from fruitcnn.errors import UsageError
from fruitcnn.extras import naming_extras
from fruitcnn.identify.identifier import Identifier
from fruitcnn.runs.folder import Claim
from fruitcnn.runs.run import Hooks
from fruitcnn.runs.stages import train_config


class FinishedRun(os.PathLike[str]):
    """What a training has left in its folder, a checkpoint directory. Whatever takes the path of a model takes it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.folder)!r})"

    @property
    def report(self) -> Path:
        """The page that shows what the model is worth, with its mistakes."""
        return self.folder / checkpoint.REPORT

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says: the temperature, and by split accuracy, loss and more with their intervals."""
        found: dict[str, Any] = json.loads((self.folder / checkpoint.METRICS).read_text(encoding="utf-8"))
        return found

    @functools.cached_property
    def identifier(self) -> Identifier:
        """The model, loaded from its model.onnx."""
        return Identifier.load(self.folder)


@naming_extras()
def train(
    data: str | os.PathLike[str] | Config,
    *,
    recipe: str | os.PathLike[str] = "features",
    name: str | os.PathLike[str] | None = None,
    device: str = "auto",
    resume: bool = False,
    on_epoch: Callable[[dict[str, float]], object] | None = None,
    export: bool = True,
    **settings: object,
) -> FinishedRun:
    """Train on labelled pictures, evaluate, calibrate and export.

    data: a folder of class folders or a CSV; or a whole Config, which then says everything. recipe: a YAML file, or the
    name of one that comes with fruitcnn. name: of the run below ./checkpoints, or a path to be its folder; default: the
    recipe's, numbered where it is taken. device: auto, cpu or gpu. resume: go on with the run of that name (default:
    the newest unfinished one of the recipe). on_epoch: gets each row of metrics.csv when its epoch is over; what it
    raises ends the training. export: False leaves out the model's formats, the plots and the report. settings: keys of
    the recipe, by their last word where only one ends in it (`epochs=3`), else in full with two underscores for the dot
    (`data__size=128`).

    Prints what it does, as the command does; on a terminal it shows a bar. Raises UsageError, ConfigError,
    DatasetError, ModelError, ExportError, and InterruptedTrainingError on Ctrl-C or SIGTERM.
    """
    if not isinstance(data, Config):
        config = load_config(Path(recipe), settings, data=Path(data))
    elif settings:
        remedy = "put them into it (load_config), or give the pictures' path"
        raise UsageError("a Config takes no settings beside it", value=", ".join(settings), remedy=remedy)
    else:
        config = data
    folder, named = os.path.split(os.fspath(name or ""))
    finished = train_config(
        config,
        Claim(name=named or None, resume=resume, root=Path(folder) if folder else checkpoint.ROOT),
        device=device,
        inputs=() if isinstance(data, Config) else [Path(recipe)],
        hooks=Hooks(on_epoch, export),
    )
    return FinishedRun(finished)
