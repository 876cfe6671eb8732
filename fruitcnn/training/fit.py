"""The epochs: a Lightning Trainer with what has to be remembered between them."""

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from fruitcnn import checkpoint
from fruitcnn.dataset.records import TRAIN
from fruitcnn.errors import FruitcnnError
from fruitcnn.model import TorchForward, features_model, has_features, keras
from fruitcnn.ranks import ranks
from fruitcnn.training.data import PixelData
from fruitcnn.training.epoch_progress import EpochProgress
from fruitcnn.training.history import History
from fruitcnn.training.last_checkpoint import LastCheckpoint, PlainCheckpointIO, damaged, find_last
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.processes import LostProcessError, is_loss
from fruitcnn.training.run import NetworkRun
from fruitcnn.training.teacher import Teacher
from fruitcnn.training.weights import AveragedWeights, BestWeights, Weights, are_weights_of, current_weights


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What the epochs left: the module with its last weights, what the callbacks kept, and the weights to use."""

    module: ClassifierModule
    history: History
    best: BestWeights
    weights: Weights


def fit_model(model: keras.Model, run: NetworkRun) -> Fitted:
    """Train for the recipe's epochs, or what is left of them after the last.ckpt in the run's folder.

    Raises InterruptedTrainingError, and FruitcnnError where no epoch's loss is a number.
    """
    module = _module(model, run)
    start = [value.clone() for value in current_weights(module)]
    history, best = History(run.folder), BestWeights(run.config.train.best)
    _run_epochs(module, best, history, run)
    if not best.weights:
        problem, remedy = "the loss is not a number in any epoch", "lower train.learning_rate"
        raise FruitcnnError(problem, value=run.folder, remedy=remedy)
    # The share is of the weights, moving statistics too.
    final = [
        value.lerp(first.to(value.device), run.config.train.start_share)
        for value, first in zip(best.weights, start, strict=True)
    ]
    return Fitted(module, history, best, final)


def _module(model: keras.Model, run: NetworkRun) -> ClassifierModule:
    """The network with its loss; with a unit that tells pictures of no class from the others, where there are such."""
    settings, dataset = run.config.train, run.dataset
    teacher = Teacher(settings.teacher, labels=dataset.labels, device=run.device) if settings.teacher else None
    with_outside = bool(dataset.outside) and has_features(model)
    net = TorchForward(features_model(model) if with_outside else model)
    return ClassifierModule(
        net,
        settings,
        class_counts=dataset.counts(TRAIN),
        seed=run.config.seed,
        teacher=teacher,
        gate=_gate(net.model) if with_outside else None,
    )


def _gate(model: keras.Model) -> nn.Linear:
    """A unit on features [N, D] that says nothing yet."""
    gate = nn.Linear(model.outputs[0].shape[-1], 1)
    nn.init.zeros_(gate.weight)
    nn.init.zeros_(gate.bias)
    return gate


def _run_epochs(module: ClassifierModule, best: BestWeights, history: History, run: NetworkRun) -> None:
    """What is left of them. Raises ModelError for a last.ckpt that does not fit together."""
    settings, on_gpu = run.config.train, run.device.type == "cuda"
    # The average is in place while BestWeights looks, and out again before LastCheckpoint saves.
    averaged: list[Callback] = [AveragedWeights(settings.ema)] if settings.ema else []
    last, keeper = find_last(run.folder, module), LastCheckpoint(run.folder, run.dataset.labels)
    with _silent_lightning(), EpochProgress(run.interruption, run.print_line) as progress:
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator="gpu" if on_gpu else "cpu",
            **_devices(),
            precision="bf16-mixed" if on_gpu else "32-true",
            callbacks=[*averaged, best, history, keeper, EpochHook(history, run), run.interruption, progress],
            plugins=PlainCheckpointIO(),
            logger=TensorBoardLogger(run.folder, name=None, version=checkpoint.LOGS),
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        size = module.teacher.size if module.teacher else 0
        data = PixelData(run.dataset, run.config, run.device, view_size=size, with_outside=module.gate is not None)
        try:
            # Lightning moves the network to the device, and back when it is done.
            trainer.fit(module, data, ckpt_path=last, weights_only=True)
        except SystemExit:
            # Lightning's own answer to SIGTERM.
            run.interruption.check()
            raise
        except (FruitcnnError, OSError, MemoryError):
            raise
        except Exception as error:
            if is_loss(error):
                raise LostProcessError(run.folder) from error
            # Lightning and torch raise what their many readers raise.
            if last is None or keeper.is_restored:
                raise
            raise damaged(last) from error
    whole = len(history.rows) == settings.epochs and (not best.weights or are_weights_of(module, best.weights))
    if last is not None and not whole:
        raise damaged(last)


class EpochHook(Checkpoint):
    """Tells the caller of each epoch of the run's own network, not of those that calibrate it.

    After last.ckpt is written, hence its base: see LastCheckpoint. What is told once is not told again by a resume.
    """

    def __init__(self, history: History, run: NetworkRun) -> None:
        self._history, self._run = history, run

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Tell of the row that the history has just got."""
        if self._run.hooks.on_epoch is not None and not self._run.interruption.before:
            self._run.hooks.on_epoch(self._history.rows[-1])


def _devices() -> dict[str, Any]:
    """Of a Lightning Trainer: one, or as many as torchrun has started processes for, here and on other machines."""
    here = ranks()
    if here.count == 1:
        return {"devices": 1}
    # Our loaders give each process its part; Lightning's own sampler is for those of torch.
    more: dict[str, Any] = {"strategy": DDPStrategy(), "use_distributed_sampler": False}
    return {"devices": here.local_count, "num_nodes": here.count // here.local_count, **more}


@contextlib.contextmanager
def _silent_lightning() -> Iterator[None]:
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
