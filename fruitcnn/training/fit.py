"""The epochs: a Lightning Trainer with what has to be remembered between them."""

import contextlib
import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from fruitcnn import checkpoint
from fruitcnn.config import Config
from fruitcnn.dataset.records import TRAIN, Dataset
from fruitcnn.errors import FruitcnnError
from fruitcnn.model import TorchForward, features_model, has_features, keras
from fruitcnn.training.data import PixelData
from fruitcnn.training.history import History
from fruitcnn.training.interruption import Interruption
from fruitcnn.training.last_checkpoint import LastCheckpoint, PlainCheckpointIO, find_last
from fruitcnn.training.module import ClassifierModule
from fruitcnn.training.teacher import Teacher
from fruitcnn.training.weights import AveragedWeights, BestWeights, Weights, current_weights

_Shown = dict[str, int | str | float | dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What the epochs left: the module with its last weights, what the callbacks kept, and the weights to use."""

    module: ClassifierModule
    history: History
    best: BestWeights
    weights: Weights


class _Progress(TQDMProgressBar):
    def get_metrics(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> _Shown:
        # The logger's version says nothing about the training.
        return {name: value for name, value in super().get_metrics(trainer, module).items() if name != "v_num"}


def fit_model(
    model: keras.Model,
    config: Config,
    dataset: Dataset,
    folder: Path,
    where: torch.device,
    *,
    interruption: Interruption,
    quiet: bool,
) -> Fitted:
    """Train for the recipe's epochs, or what is left of them after the last.ckpt in `folder`.

    Raises InterruptedTrainingError, and FruitcnnError where no epoch's loss is a number.
    """
    counts = dataset.counts(TRAIN)
    teacher = Teacher(config.train.teacher, labels=dataset.labels, device=where) if config.train.teacher else None
    with_outside = bool(dataset.outside) and has_features(model)
    net = TorchForward(features_model(model) if with_outside else model)
    gate = _gate(net.model) if with_outside else None
    module = ClassifierModule(net, config.train, class_counts=counts, seed=config.seed, teacher=teacher, gate=gate)
    start = [value.clone() for value in current_weights(module)]
    history, best = History(folder), BestWeights(config.train.best)
    # The average is in place while BestWeights looks, and out again before LastCheckpoint saves.
    averaged: list[Callback] = [AveragedWeights(config.train.ema)] if config.train.ema else []
    progress: list[Callback] = [] if quiet else [_Progress()]
    callbacks = [*averaged, best, history, LastCheckpoint(folder), interruption, *progress]
    last = find_last(folder, module)
    with _silent_lightning():
        trainer = lightning.Trainer(
            max_epochs=config.train.epochs,
            accelerator="gpu" if where.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if where.type == "cuda" else "32-true",
            callbacks=callbacks,
            plugins=PlainCheckpointIO(),
            logger=TensorBoardLogger(folder, name=None, version=checkpoint.LOGS),
            enable_model_summary=False,
            enable_progress_bar=not quiet,
            num_sanity_val_steps=0,
        )
        size = teacher.size if teacher else 0
        data = PixelData(dataset, config, where, view_size=size, with_outside=with_outside)
        try:
            # Lightning moves the network to the device, and back when it is done.
            trainer.fit(module, data, ckpt_path=last, weights_only=True)
        except SystemExit:
            # Lightning's own answer to SIGTERM.
            interruption.check()
            raise
    if not best.weights:
        raise FruitcnnError("the loss is not a number in any epoch", value=folder, remedy="lower train.learning_rate")
    # The share is of the weights, moving statistics too.
    final = [
        value.lerp(first.to(value.device), config.train.start_share)
        for value, first in zip(best.weights, start, strict=True)
    ]
    return Fitted(module, history, best, final)


def _gate(model: keras.Model) -> nn.Linear:
    """A unit on features [N, D] that says nothing yet."""
    gate = nn.Linear(model.outputs[0].shape[-1], 1)
    nn.init.zeros_(gate.weight)
    nn.init.zeros_(gate.bias)
    return gate


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
