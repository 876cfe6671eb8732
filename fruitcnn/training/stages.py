"""From a configuration to a finished checkpoint directory, stage by stage, resumable at every epoch."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.dataset.records import Dataset
from fruitcnn.dataset.saved_split import apply_split, write_split
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.split import SplitRules
from fruitcnn.device import on_cpu, training_device
from fruitcnn.errors import UsageError
from fruitcnn.model import TorchForward, keras
from fruitcnn.outputs import check_inputs_stay, write_text
from fruitcnn.terminal import printable
from fruitcnn.training.fit import fit_model
from fruitcnn.training.folds import calibrated_by_folds
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.results import write_results
from fruitcnn.training.run import Run
from fruitcnn.training.run_folder import claimed_run
from fruitcnn.training.start import fit_head_only, starting_model
from fruitcnn.training.trained import Trained
from fruitcnn.training.weights import load_weights


def train_config(
    config: Config,
    *,
    name: str | None = None,
    device: str = "auto",
    resume: bool = False,
    root: Path = checkpoint.ROOT,
    inputs: Iterable[Path] = (),
    print_line: Callable[[str], object] = print,
) -> Path:
    """Train, evaluate, calibrate and export; returns the finished checkpoint directory below `root`.

    name: of the run; default: the recipe's, numbered where it is taken. device: auto, cpu or gpu. resume: go on with
    the run of that name (default: the newest unfinished one of the recipe). inputs: what was read for the recipe, which
    no result replaces. print_line: takes what people are told.
    Raises UsageError, ConfigError, DatasetError, ModelError, ExportError, and InterruptedTrainingError on Ctrl-C or
    SIGTERM.
    """
    chosen = training_device(device)
    with claimed_run(config, name, resume=resume, root=root) as folder, on_cpu():
        dataset = _read_data(config, folder)
        check_inputs_stay(_outputs(config, folder), [*inputs, *_inputs(config, dataset)])
        epochs = 0 if config.head else config.train.epochs * (1 + config.data.calibration_folds)
        run = Run(
            config=config,
            dataset=dataset,
            folder=folder,
            device=chosen,
            interruption=Interruption(epochs=epochs, run=folder.name, value=folder),
            print_line=print_line,
        )
        model = _start(run)
        if config.head:
            write_results(fit_head_only(model, run), run)
        else:
            _train_whole(model, run)
    return folder


def _read_data(config: Config, folder: Path) -> Dataset:
    """The data set; of a run that has whole epochs with the split that they were trained on."""
    if config.data.path is None:
        raise UsageError("no data set", value="--data", remedy="give a folder of class folders, or a CSV")
    data = config.data
    rules = SplitRules(data.validation_share, data.calibration_share, config.seed, data.near_duplicates)
    dataset = scan(
        Path(config.data.path),
        sizes={config.data.size, config.data.training_size or config.data.size},
        rules=rules,
        outside=Path(config.data.outside) if config.data.outside else None,
    )
    return apply_split(dataset, folder / checkpoint.SPLIT) if (folder / checkpoint.LAST).exists() else dataset


def _outputs(config: Config, folder: Path) -> list[Path]:
    """What is to be written. A run that goes on has its settings and, after an epoch, its split already."""
    settings, kept = folder / checkpoint.CONFIG, set[str]()
    if (folder / checkpoint.LAST).exists():
        kept = {checkpoint.CONFIG, checkpoint.SPLIT}
    elif settings.is_file() and settings.read_bytes() == config.to_yaml().encode():
        kept = {checkpoint.CONFIG}
    return [folder / name for name in checkpoint.FILES if name not in kept]


def _inputs(config: Config, dataset: Dataset) -> Iterator[Path]:
    settings = (config.data.path, config.train.teacher, config.model.weights)
    for path in (Path(setting) for setting in settings if setting):
        yield from (path, path / checkpoint.KERAS, path / checkpoint.CARD)
    yield from (record.path for record in dataset.records)


def _start(run: Run) -> keras.Model:
    """Say what is trained on, make the network, and leave in the folder what a resume needs."""
    config, dataset, folder = run.config, run.dataset, run.folder
    for line in [_describe(dataset), *dataset.report]:
        run.print_line(printable(line))
    keras.utils.set_random_seed(config.seed)
    model = starting_model(config, dataset)
    outputs = _outputs(config, folder)
    if folder / checkpoint.CONFIG in outputs:
        write_text(folder / checkpoint.CONFIG, config.to_yaml())
    if folder / checkpoint.SPLIT in outputs:
        write_split(dataset, folder / checkpoint.SPLIT)
    run.print_line(f"training {config.model.architecture} on the {run.device.type} in {printable(str(folder))}")
    return model


def _train_whole(model: keras.Model, run: Run) -> None:
    """The epochs, those of the networks that calibrate it, and the results; a signal stops it between two batches."""
    if foreign := TorchForward(model).foreign:
        run.print_line(printable(_describe_foreign(foreign)))
    with run.interruption:
        fitted = fit_model(model, run)
        run.interruption.check()
        load_weights(fitted.module, fitted.weights)
        trained = Trained(model, fitted.best.epoch, fitted.history.rows)
        if run.config.data.calibration_folds:
            trained = calibrated_by_folds(trained, run)
        write_results(trained, run)


def _describe(dataset: Dataset) -> str:
    splits = []
    for split in dataset.splits:
        counts = dataset.counts(split)
        classes = ", ".join(f"{label} {count}" for label, count in zip(dataset.labels, counts, strict=True))
        splits.append(f"{split} {sum(counts)} ({classes})")
    others = f"; of no class {len(dataset.outside)}" if dataset.outside else ""
    return f"{len(dataset.pictures)} pictures: " + "; ".join(splits) + others


def _describe_foreign(layers: list[str]) -> str:
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    return f"Keras itself runs these layers, which is right but slower: {', '.join(layers[:3])}{more}"
