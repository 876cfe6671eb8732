"""Training from Python: pictures in, a finished run out."""

import functools
import json
import os
from collections.abc import Callable, Mapping
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
    """A finished training. You can give it wherever fruitcnn takes the path of a model.

    Args:
        folder: The folder of the run, a checkpoint directory.

    Attributes:
        folder (pathlib.Path): The folder of the run.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return f"FinishedRun({str(self.folder)!r})"

    @property
    def report(self) -> Path:
        """The page report.html, which shows the figures and the mistakes."""
        return self.folder / checkpoint.REPORT

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of metrics.json, with the temperature, and the figures of each split with their intervals."""
        found: dict[str, Any] = json.loads((self.folder / checkpoint.METRICS).read_text(encoding="utf-8"))
        return found

    @functools.cached_property
    def identifier(self) -> Identifier:
        """The model, loaded from model.onnx."""
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
    """Train a model on labelled pictures, then calibrate, evaluate and export it.

    It prints what the command prints. On a terminal it shows a bar.

    Args:
        data: A folder with a folder for each class, or a CSV. Or a whole Config, which holds every setting.
        recipe: A YAML file, or the name of a recipe that comes with fruitcnn.
        name: The name of the run in ./checkpoints, or a path for its folder. The default is the recipe's name, with a
            number where that is taken.
        device: "auto", "cpu" or "gpu".
        resume: Go on with the run of this name. Without a name, go on with the newest unfinished run of the recipe.
        on_epoch: A function that gets each row of metrics.csv as a dict. What it raises ends the training.
        export: False leaves out the exported formats, the plots and the report.
        **settings: Keys of the recipe. The last word is enough where only one key ends in it: `epochs=3`. Else write
            the whole key with two underscores for the dot: `data__size=128`.

    Returns:
        The finished run.

    Raises:
        ConfigError: The recipe, or a setting, is not valid.
        DatasetError: The pictures can't be trained on as they are.
        ExportError: An exported file does not agree with the trained model.
        InterruptedTrainingError: Ctrl-C or SIGTERM stopped a training by epochs.
        ModelError: The weights, or the checkpoint, to start from can't be read.
        UsageError: The name is taken, an extra is missing, or a Config comes with settings.
    """
    config = _config_of(data, recipe, settings)
    folder, named = os.path.split(os.fspath(name or ""))
    finished = train_config(
        config,
        Claim(name=named or None, resume=resume, root=Path(folder) if folder else checkpoint.ROOT),
        device=device,
        inputs=() if isinstance(data, Config) else [Path(recipe)],
        hooks=Hooks(on_epoch, export),
    )
    return FinishedRun(finished)


def _config_of(
    data: str | os.PathLike[str] | Config, recipe: str | os.PathLike[str], settings: Mapping[str, object]
) -> Config:
    if not isinstance(data, Config):
        return load_config(Path(recipe), settings, data=Path(data))
    if settings:
        remedy = "put them into it (load_config), or give the pictures' path"
        raise UsageError("a Config takes no settings beside it", value=", ".join(settings), remedy=remedy)
    return data
