"""The LightningModule around the Keras model: loss and accuracy of a step."""

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import lightning
import numpy as np
import torch
import torchmetrics
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.nn import functional

from fruitcnn.config import TrainConfig
from fruitcnn.model import TorchForward
from fruitcnn.model.pretrained import depths
from fruitcnn.ranks import ranks
from fruitcnn.training.data import Batch, PixelData
from fruitcnn.training.optimizer import build_optimizer, build_schedule
from fruitcnn.training.teacher import Teacher, distillation_loss, resized

# What telling pictures of no class from the others counts beside telling the classes apart.
_GATE_SHARE = 0.3
# What torch.compile is told, by the setting.
COMPILED: dict[str, dict[str, Any]] = {"default": {}, "cudagraphs": {"mode": "reduce-overhead"}}


class ClassifierModule(lightning.LightningModule):
    """Trains the Keras model inside `net`, which runs it from pixels [N, 3, S, S] to logits [N, C].

    gate: a linear unit from features [N, D] to how much a picture is of one of the classes; then `net` gives features,
    logits, and training batches hold pictures of no class (outlier exposure: Hendrycks et al. 2019). The unit is there
    for what the network learns of it, and goes with the training: familiarity fits a gate of its own.
    """

    class_weight: torch.Tensor

    def __init__(
        self,
        net: TorchForward,
        config: TrainConfig,
        *,
        class_counts: list[int],
        seed: int,
        teacher: Teacher | None = None,
        gate: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.net, self.config, self.seed, self.teacher, self.gate = net, config, seed, teacher, gate
        # Of its function: torch would register a compiled module's weights a second time.
        options = COMPILED.get(config.compile)
        self._compiled = None if options is None else torch.compile(net.forward, fullgraph=True, **options)
        self.view_size = config.view_size or net.model.inputs[0].shape[1]
        # A fold's network may have no picture of a class.
        frequency = torch.tensor(class_counts).clamp_min(1) / sum(class_counts)
        weight = frequency**-config.class_balance
        # Scaled so that the average picture counts as one, whatever the balance: the rate keeps its meaning.
        self.register_buffer("class_weight", weight / (weight * frequency).sum(), persistent=False)
        # A loss that is not a number shall be seen, not left out of the mean.
        self.accuracy = torchmetrics.MeanMetric(nan_strategy="disable")
        self.validation_loss = torchmetrics.MeanMetric(nan_strategy="disable")
        self.validation_accuracy = torchmetrics.MeanMetric(nan_strategy="disable")

    def on_train_epoch_start(self) -> None:
        """Seed every epoch by its number: order, views, mixing and dropout need no saved state to be resumed."""
        state = np.random.SeedSequence([self.seed, self.current_epoch]).generate_state(1)
        torch.manual_seed(int(state[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Cross-entropy of the logits against target distributions [N, C], plus the Keras regularisation losses.

        With a teacher, against its answers to the same views [N + O, 3, V, V], of which the last O are of no class.
        """
        views, distributions = batch
        with self._own_noise(batch_idx):
            features, logits = self._answers(resized(views, self.view_size))
        known = logits[: len(distributions)]
        share, of_members, of_others = self._shares(len(distributions), len(views) - len(distributions))
        if self.teacher:
            loss = distillation_loss(logits, self.teacher.log_probabilities(views), self.config.teacher_temperature)
            loss = loss * share
        else:
            loss = of_members * functional.cross_entropy(
                known, distributions, weight=self.class_weight, label_smoothing=self.config.label_smoothing
            )
        self.accuracy.update((known.argmax(1) == distributions.argmax(1)).float())
        # Without gate and penalty: the validation's loss has none either, and the two stand in one picture.
        # All batches are as large as each other: each counts 1.
        several = ranks().count > 1
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=1, sync_dist=several)
        self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        if self.gate:
            loss = loss + _GATE_SHARE * gate_loss(
                self.gate(features)[:, 0], len(distributions), (of_members, of_others)
            )
        return loss + self.net.penalty()

    def _shares(self, members: int, others: int) -> tuple[float, float, float]:
        """What means over this process's pictures count in the mean over the processes, so that the mean over all comes
        out: of both kinds together, of members, of others. All are 1 where there is one process.
        """
        parts = ranks().count
        if parts == 1:
            return 1.0, 1.0, 1.0
        whole = cast(PixelData, self.trainer.datamodule)  # type: ignore[attr-defined]
        together = parts * (members + others) / (whole.pictures + whole.others)
        return together, parts * members / whole.pictures, parts * others / max(1, whole.others)

    @contextlib.contextmanager
    def _own_noise(self, step: int) -> Iterator[None]:
        """Within, dropout draws other numbers in each process; what comes after draws the same ones in all of them."""
        here = ranks()
        if here.count == 1:
            yield
            return
        state = np.random.SeedSequence([self.seed, self.current_epoch, step, here.rank]).generate_state(1)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int(state[0]))
            yield

    def _answers(self, pixels: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Features [N, D], where there is a gate for them, and logits [N, C]."""
        # Batches that are validated on may be of two sizes, each of which would be compiled.
        forward = self._compiled if self._compiled and self.training else self.net
        features, logits = forward(pixels) if self.gate else (None, forward(pixels))
        return features, logits

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Plain cross-entropy and accuracy, without smoothing, weights or regularisation."""
        pixels, targets = batch
        if len(targets):  # a last batch may have fewer pictures than there are processes
            logits = self._answers(pixels)[1].float()
            self.validation_loss.update(functional.cross_entropy(logits, targets, reduction="none"))
            self.validation_accuracy.update((logits.argmax(1) == targets).float())
        self.log("validation_loss", self.validation_loss)
        self.log("validation_accuracy", self.validation_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, with a schedule by step."""
        model = self.net.model
        own = [variable.value for variable in model.trainable_variables]
        more = [] if self.gate is None else list(self.gate.parameters())
        optimizer = build_optimizer(own + more, self.config, depths=depths(model) + [0] * len(more))
        schedule = build_schedule(optimizer, self.config, steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def gate_loss(scores: torch.Tensor, members: int, shares: tuple[float, float] = (1.0, 1.0)) -> torch.Tensor:
    """Logistic loss of scores [N + O], whose first N shall be positive and the others negative.

    shares: what each half counts.
    """
    of_members, of_others = shares
    known, outside = functional.softplus(-scores[:members]), functional.softplus(scores[members:])
    return of_members * known.mean() + of_others * outside.mean()
