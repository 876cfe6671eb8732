"""The LightningModule around the Keras model: loss, optimizer, schedule, accuracy."""

import lightning
import numpy as np
import torch
import torchmetrics
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn import functional

from fruitcnn.config import TrainConfig
from fruitcnn.model import TorchForward
from fruitcnn.training.data import Batch


class ClassifierModule(lightning.LightningModule):
    """Trains the Keras model inside `net`, which runs it from pixels [N, 3, S, S] to logits [N, C]."""

    class_weight: torch.Tensor

    def __init__(self, net: TorchForward, config: TrainConfig, *, class_counts: list[int], seed: int) -> None:
        super().__init__()
        self.net, self.config, self.seed = net, config, seed
        frequency = torch.tensor(class_counts) / sum(class_counts)
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
        """Cross-entropy of the logits against target distributions [N, C], plus the Keras regularisation losses."""
        pixels, shares = batch
        logits = self.net(pixels)
        loss: torch.Tensor = functional.cross_entropy(
            logits, shares, weight=self.class_weight, label_smoothing=self.config.label_smoothing
        )
        loss = loss + self.net.penalty()
        self.accuracy.update((logits.argmax(1) == shares.argmax(1)).float())
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(pixels))
        self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Plain cross-entropy and accuracy, without smoothing, weights or regularisation."""
        pixels, targets = batch
        logits = self.net(pixels).float()
        self.validation_loss.update(functional.cross_entropy(logits, targets, reduction="none"))
        self.validation_accuracy.update((logits.argmax(1) == targets).float())
        self.log("validation_loss", self.validation_loss)
        self.log("validation_accuracy", self.validation_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam or AdamW, with a schedule by step. Weight decay is for kernels, not for biases and batch norm."""
        trainable = [variable.value for variable in self.net.model.trainable_variables]
        kernels = [value for value in trainable if value.ndim > 1]
        others = [value for value in trainable if value.ndim <= 1]
        optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.config.optimizer](
            [{"params": kernels, "weight_decay": self.config.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=self.config.learning_rate,
            eps=1e-7,  # Keras' own
        )
        scheduler = self._schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _schedule(self, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        rate = self.config.learning_rate
        if self.config.schedule == "one_cycle":
            # Smith and Topin 2017. Adam's momentum stays: cycling it brings nothing here. The rise has to take two
            # steps at least and the fall one, or torch divides by their length.
            steps = max(3, steps)
            return torch.optim.lr_scheduler.OneCycleLR(
                optimizer, rate, total_steps=steps, pct_start=max(0.2, 2 / steps), cycle_momentum=False
            )
        decay = rate / self.config.epochs
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))
