"""The LightningModule around the Keras model: loss and accuracy of a step."""

import lightning
import numpy as np
import torch
import torchmetrics
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn import functional

from fruitcnn.config import TrainConfig
from fruitcnn.model import TorchForward
from fruitcnn.model.pretrained import depths
from fruitcnn.training.data import Batch
from fruitcnn.training.optimizer import build_optimizer, build_schedule
from fruitcnn.training.teacher import Teacher, distillation_loss, resized


class ClassifierModule(lightning.LightningModule):
    """Trains the Keras model inside `net`, which runs it from pixels [N, 3, S, S] to logits [N, C]."""

    class_weight: torch.Tensor

    def __init__(
        self,
        net: TorchForward,
        config: TrainConfig,
        *,
        class_counts: list[int],
        seed: int,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.net, self.config, self.seed, self.teacher = net, config, seed, teacher
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
        """Cross-entropy of the logits against target distributions [N, C], plus the Keras regularisation losses.

        With a teacher, against its answers to the same views [N, 3, V, V].
        """
        pixels, shares = batch
        logits = self.net(resized(pixels, self.net.model.inputs[0].shape[1]))
        if self.teacher:
            loss = distillation_loss(logits, self.teacher.logits(pixels), self.config.teacher_temperature)
        else:
            loss = functional.cross_entropy(
                logits, shares, weight=self.class_weight, label_smoothing=self.config.label_smoothing
            )
        self.accuracy.update((logits.argmax(1) == shares.argmax(1)).float())
        # Without the penalty: the validation's loss has none either, and the two stand in one picture.
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(pixels))
        self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss + self.net.penalty()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Plain cross-entropy and accuracy, without smoothing, weights or regularisation."""
        pixels, targets = batch
        logits = self.net(pixels).float()
        self.validation_loss.update(functional.cross_entropy(logits, targets, reduction="none"))
        self.validation_accuracy.update((logits.argmax(1) == targets).float())
        self.log("validation_loss", self.validation_loss)
        self.log("validation_accuracy", self.validation_accuracy, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimizer, with a schedule by step."""
        model = self.net.model
        trainable = (variable.value for variable in model.trainable_variables)
        optimizer = build_optimizer(trainable, self.config, depths=depths(model))
        schedule = build_schedule(optimizer, self.config, steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
