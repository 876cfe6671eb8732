"""One training under way: what its stages have in common."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.saved_split import write_split
from fruitcnn.models import find_run
from fruitcnn.outputs import write_text
from fruitcnn.runs.needs import models_of


@dataclasses.dataclass(frozen=True)
class Hooks:
    """What whoever calls a training wants of it besides.

    on_epoch: gets each row of metrics.csv when its epoch is over; what it raises ends the training. export: False
    leaves out the model's formats, the plots and the report: what is left is what the network is worth.
    """

    on_epoch: Callable[[dict[str, float]], object] | None = None
    export: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe on a data set, in its folder.

    print_line: takes what people are told. hooks: see there.
    """

    config: Config
    dataset: Dataset
    folder: Path
    print_line: Callable[[str], object]
    hooks: Hooks = Hooks()

    def check(self) -> None:
        """Called between the stages: raises where the run shall stop."""

    def write_beginning(self) -> None:
        """Leave in the folder what a resume needs: the settings and the split, where they are not there already."""
        outputs = self.outputs()
        if self.folder / checkpoint.CONFIG in outputs:
            write_text(self.folder / checkpoint.CONFIG, self.config.to_yaml())
        if self.folder / checkpoint.SPLIT in outputs:
            write_split(self.dataset, self.folder / checkpoint.SPLIT)

    def outputs(self) -> list[Path]:
        """What is to be written. A run that goes on has its settings and, after an epoch, its split already."""
        settings, kept = self.folder / checkpoint.CONFIG, set[str]()
        if (self.folder / checkpoint.LAST).exists():
            kept = {checkpoint.CONFIG, checkpoint.SPLIT}
        elif settings.is_file() and settings.read_bytes() == self.config.to_yaml().encode():
            kept = {checkpoint.CONFIG}
        more = (checkpoint.KEPT,) if self.keeps_features else ()
        return [self.folder / name for name in (*checkpoint.FILES, *more) if name not in kept]

    @property
    def keeps_features(self) -> bool:
        """Whether the checkpoint keeps what its last layer learned from; one that extends another keeps that, too."""
        return self.config.data.keep_features or self.config.data.extend is not None

    def inputs(self) -> Iterator[Path]:
        """What is read."""
        config = self.config
        data = config.data
        settings = (data.path, data.split, data.fixes, *map(find_run, models_of(config)))
        for path in (Path(setting) for setting in settings if setting):
            yield from (path, path / checkpoint.KERAS, path / checkpoint.CARD)
        if config.data.extend:
            yield Path(config.data.extend) / checkpoint.KEPT
        yield from (record.path for record in self.dataset.records)
