"""`train`: from a configuration to a finished checkpoint directory, resumable at every epoch."""

import contextlib
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from fruitcnn import checkpoint
from fruitcnn.config import Config, load_config
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.dataset.scan import apply_split, scan
from fruitcnn.errors import ConfigError, FruitcnnError, UsageError
from fruitcnn.files import write_text
from fruitcnn.model import TorchForward, build_model, keras
from fruitcnn.training.callbacks import AveragedWeights, BestWeights, History, LastCheckpoint
from fruitcnn.training.data import PixelData
from fruitcnn.training.finish import Say, finish
from fruitcnn.training.module import ClassifierModule

Metrics = dict[str, int | str | float | dict[str, float]]


class _Progress(TQDMProgressBar):
    def get_metrics(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> Metrics:
        # The logger's version says nothing about the training.
        return {name: value for name, value in super().get_metrics(trainer, module).items() if name != "v_num"}


class InterruptedTrainingError(FruitcnnError):
    """Training was stopped by Ctrl-C or SIGTERM; what was learned up to the last whole epoch is kept."""

    exit_code = 130


def train(
    config: Config,
    *,
    name: str | None = None,
    device: str = "auto",
    resume: bool = False,
    root: Path = checkpoint.ROOT,
    say: Say = print,
) -> Path:
    """Train, evaluate, calibrate and export; returns the finished checkpoint directory below `root`.

    name: of the run; default: the recipe's, numbered where it is taken. device: auto, cpu or gpu. resume: go on with
    the run of that name (default: the newest unfinished one of the recipe). say: takes a line of text for people.
    Raises UsageError, ConfigError, DatasetError, ExportError, and InterruptedTrainingError on Ctrl-C or SIGTERM.
    """
    where = _device(device)
    folder = _folder(config, name, resume, root)
    quiet = not sys.stderr.isatty()
    with keras.device(where.type):
        dataset = _read_data(config, folder, resume, quiet=quiet)
        for line in [_describe(dataset), *dataset.report]:
            say(line)
        keras.utils.set_random_seed(config.seed)
        model = build_model(
            config.model.architecture,
            classes=len(dataset.labels),
            size=config.data.size,
            dropout=config.model.dropout,
        )
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / checkpoint.CONFIG, config.to_yaml())
        write_text(folder / checkpoint.SPLIT, dataset.split_csv())
        say(f"training {config.model.architecture} on the {where.type} in {folder}")
        module, history, best = _fit(model, config, dataset, folder, where, quiet=quiet)
        finish(module, config, dataset, folder, history, best, say)
    return folder


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "gpu" and not available:
        raise UsageError("no GPU that torch can use", value="--device gpu", remedy="use --device cpu, or auto")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def _folder(config: Config, name: str | None, resume: bool, root: Path) -> Path:
    if name is not None and (name in ("", ".", "..") or Path(name).name != name):
        raise UsageError("is not a plain name", value=f"--name {name}", remedy="give a name without folders")
    if resume:
        return _unfinished(config, name, root)
    if name is None:
        taken = {path.name for path in root.glob("*")}
        names = (config.name if number == 1 else f"{config.name}-{number}" for number in range(1, len(taken) + 2))
        name = next(candidate for candidate in names if candidate not in taken)
    folder = root / name
    if folder.exists():
        raise UsageError("exists already", value=folder, remedy="choose another --name, or go on with --resume")
    return folder


def _unfinished(config: Config, name: str | None, root: Path) -> Path:
    begun = [path.parent for path in root.glob(f"{name or f'{config.name}*'}/{checkpoint.CONFIG}")]
    open_ = [folder for folder in begun if not (folder / checkpoint.CONFUSION).exists()]
    if not open_:
        problem = "is finished already" if begun else "no such run"
        raise UsageError(problem, value=root / (name or config.name), remedy="start one without --resume")
    folder = max(open_, key=lambda path: (path / checkpoint.CONFIG).stat().st_mtime)
    before = load_config(folder / checkpoint.CONFIG).model_dump()
    changed = [key for key, value in config.model_dump().items() if before[key] != value]
    if changed:
        problem = f"was begun with other settings in: {', '.join(changed)}"
        raise ConfigError(problem, value=folder, remedy="give the same recipe, --data and --set as at its start")
    return folder


def _read_data(config: Config, folder: Path, resume: bool, *, quiet: bool) -> Dataset:
    if config.data.path is None:
        raise UsageError("no data set", value="--data", remedy="give a folder of class folders, or a CSV")
    data = Path(config.data.path)
    sizes = {config.data.size, config.data.training_size or config.data.size}
    dataset = scan(data, sizes=sizes, share=config.data.validation_share, seed=config.seed, quiet=quiet)
    return apply_split(dataset, folder / checkpoint.SPLIT) if resume else dataset


def _describe(dataset: Dataset) -> str:
    parts = []
    for split in dataset.splits:
        counts = dataset.counts(split)
        classes = ", ".join(f"{label} {count}" for label, count in zip(dataset.labels, counts, strict=True))
        parts.append(f"{split} {sum(counts)} ({classes})")
    return f"{len(dataset.pictures)} pictures: " + "; ".join(parts)


def _fit(
    model: keras.Model, config: Config, dataset: Dataset, folder: Path, where: torch.device, *, quiet: bool
) -> tuple[ClassifierModule, History, BestWeights]:
    counts = dataset.counts(TRAIN)
    module = ClassifierModule(TorchForward(model), config.train, class_counts=counts, seed=config.seed)
    history, best = History(folder), BestWeights(config.train.best)
    # The average is in place while BestWeights looks, and out again before LastCheckpoint saves.
    averaged: list[Callback] = [AveragedWeights(config.train.ema)] if config.train.ema else []
    callbacks = [*averaged, best, history, LastCheckpoint(folder), *([] if quiet else [_Progress()])]
    last = folder / checkpoint.LAST
    with _lightning_silent():
        trainer = lightning.Trainer(
            max_epochs=config.train.epochs,
            accelerator="gpu" if where.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if where.type == "cuda" else "32-true",
            callbacks=callbacks,
            logger=TensorBoardLogger(folder, name=None, version=checkpoint.LOGS),
            enable_model_summary=False,
            enable_progress_bar=not quiet,
            num_sanity_val_steps=0,
        )
        _run(trainer, module, PixelData(dataset, config, where), last if last.exists() else None, folder)
    if not best.weights:
        raise FruitcnnError("the loss is not a number in any epoch", value=folder, remedy="lower train.learning_rate")
    return module, history, best


def _run(
    trainer: lightning.Trainer, module: ClassifierModule, data: PixelData, last: Path | None, folder: Path
) -> None:
    """`trainer.fit`, with Ctrl-C and SIGTERM alike ending in InterruptedTrainingError."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # Python lets only the main thread handle signals; in another one the caller's handlers stay.
    ours = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} if ours else {}
    try:
        if ours:
            signal.signal(signal.SIGTERM, stop)
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
    except (KeyboardInterrupt, SystemExit):
        # Lightning turns the first into the second.
        done = trainer.current_epoch
        raise InterruptedTrainingError(
            f"stopped after {done} of {trainer.max_epochs} epochs",
            value=folder,
            remedy=f"go on with the same command and --name {folder.name} --resume",
        ) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _lightning_silent() -> Iterator[None]:
    # Its hints are for people who write their own training loop, not for those who call this one.
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            log.setLevel(logging.ERROR)
            yield
    finally:
        log.setLevel(level)
