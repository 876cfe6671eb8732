"""From a configuration to a finished checkpoint directory, stage by stage."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.saved_split import apply_split
from fruitcnn.dataset.split import FEWEST_TO_VALIDATE, SplitRules
from fruitcnn.features.shipped import fits_shipped_network
from fruitcnn.models import find_run
from fruitcnn.outputs import check_inputs_stay
from fruitcnn.progress import Progress, above_the_bar, part
from fruitcnn.ranks import ranks
from fruitcnn.runs.folder import Claim, claimed_run
from fruitcnn.runs.needs import check_needs
from fruitcnn.runs.run import Hooks, Run
from fruitcnn.runs.summary import describe_beginning
from fruitcnn.terminal import printable

_ANY = Claim()
_NO_HOOKS = Hooks()
# How much of a run the reading of pictures is: a guess, for the bar.
_READING, _READING_FOR_EPOCHS = 0.4, 0.05


def train_config(
    config: Config,
    claim: Claim = _ANY,
    *,
    device: str = "auto",
    inputs: Iterable[Path] = (),
    print_line: Callable[[str], object] = print,
    hooks: Hooks = _NO_HOOKS,
) -> Path:
    """Train, evaluate, calibrate and export; returns the finished checkpoint directory.

    claim: which one. device: auto, cpu or gpu. inputs: what was read for the recipe, which no result replaces.
    print_line: takes what people are told. hooks: what else the caller wants to know, or to leave out.
    Raises UsageError, ConfigError, DatasetError, ModelError, ExportError, and InterruptedTrainingError on Ctrl-C or
    SIGTERM.
    """
    # A mistake is told before the seconds that importing what trains takes.
    check_needs(config)
    if not ranks().is_first:
        if _needs_one(config):
            return claim.root
        print_line = str
    learn, print_line = _way_to_learn(config, device), above_the_bar(print_line)
    with _claimed(config, claim) as folder, Progress("reading pictures", 1.0) as progress:
        with part("reading pictures", _READING if fits_shipped_network(config) else _READING_FOR_EPOCHS):
            dataset = _read_data(config, folder)
        progress.advance(0, title="preparing")
        run = Run(config=config, dataset=dataset, folder=folder, print_line=print_line, hooks=hooks)
        check_inputs_stay(run.outputs(), [*inputs, *run.inputs()])
        for line in describe_beginning(config, run.dataset):
            print_line(printable(line))
        if device == "gpu" and fits_shipped_network(config):
            print_line("this recipe has no use for a GPU: its network's answers come from the CPU")
        learn(run)
    return folder


def _needs_one(config: Config) -> bool:
    """Whether one process does it all: where only a last layer is fitted, or torchrun has not started more."""
    return config.head is not None or ranks().count == 1


def _claimed(config: Config, claim: Claim) -> AbstractContextManager[Path]:
    if _needs_one(config):
        return claimed_run(config, claim)
    from fruitcnn.training.processes import claimed_by_first

    return claimed_by_first(claimed_run(config, claim))


def _read_data(config: Config, folder: Path) -> Dataset:
    """The data set; where several processes train, what the first one has read is in the cache for the others."""
    if _needs_one(config):
        return _scanned(config, folder)
    from fruitcnn.training.processes import check_same, first_before_others

    with first_before_others():
        dataset = _scanned(config, folder)
    check_same([(picture.sha256, picture.label, picture.split) for picture in dataset.pictures], "pictures")
    return dataset


def _way_to_learn(config: Config, device: str) -> Callable[[Run], None]:
    """What takes a run to its results; torch is imported only where a gradient or another network is wanted."""
    if fits_shipped_network(config):
        from fruitcnn.features.fit import fit_features

        return fit_features
    from fruitcnn.training.stages import training_on

    return training_on(device)


def _scanned(config: Config, folder: Path) -> Dataset:
    """The data set; of a run that has whole epochs with the split that they were trained on."""
    from fruitcnn.dataset.scan import scan

    data = config.data
    assert data.path is not None
    # What is known of each fold says as much as a validation split does.
    fewest = FEWEST_TO_VALIDATE if config.head else 0
    extend = _extension(config) if data.extend else None
    rules = SplitRules(
        data.validation_share,
        data.calibration_share,
        config.seed,
        data.near_duplicates,
        fewest,
        fewest_classes=1 if extend else 2,
    )
    dataset = scan(
        Path(data.path),
        sizes={data.size, data.training_size or data.size},
        rules=rules,
        outside=Path(data.outside) if data.outside else None,
        saved_split=Path(data.split) if data.split else None,
        fixes=Path(data.fixes) if data.fixes else None,
    )
    dataset = extend(dataset) if extend else dataset
    return apply_split(dataset, folder / checkpoint.SPLIT) if (folder / checkpoint.LAST).exists() else dataset


def _extension(config: Config) -> Callable[[Dataset], Dataset]:
    """What adds the pictures of the run that is extended; looked at before the photographs are."""
    from fruitcnn.features.backbone import backbone_id, shipped_backbone
    from fruitcnn.features.extend import check_extends, extended
    from fruitcnn.features.kept import KeptFeatures

    assert config.data.extend is not None
    folder = find_run(config.data.extend)
    kept = KeptFeatures.load(folder)
    check_extends(kept, config, backbone_id(shipped_backbone(config.data.size)))
    return lambda dataset: extended(dataset, kept, folder.resolve().name)
