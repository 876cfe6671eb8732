"""The average of the weights, and the best ones: what is kept of them between epochs is in last.ckpt."""

import math
from typing import Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from fruitcnn.training.module import ClassifierModule

Weights = list[torch.Tensor]


def current_weights(module: lightning.LightningModule) -> Weights:
    """The tensors of all weights of a ClassifierModule's net, moving statistics included, in the net's order."""
    return [variable.value.data for variable in cast(ClassifierModule, module).net.model.weights]


def load_weights(module: lightning.LightningModule, weights: Weights) -> None:
    """Copy weights into the net, in place."""
    torch._foreach_copy_(current_weights(module), [value.to(module.device) for value in weights])


def are_weights_of(module: lightning.LightningModule, weights: Weights) -> bool:
    """Whether these, from a file, can be loaded into the net."""
    return [getattr(value, "shape", None) for value in weights] == [value.shape for value in current_weights(module)]


class AveragedWeights(Callback):
    """An exponential moving average of the weights (Polyak averaging), with which the net is evaluated."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: Weights = []
        self.steps = 0
        self._trained: Weights = []

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Start from the first weights, or from the average of the run that is resumed."""
        if self.steps and not are_weights_of(module, self.average):
            raise ValueError("the averaged weights are of another network")
        self.average = [value.to(module.device, copy=True) for value in self.average or current_weights(module)]

    def on_train_batch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule, *args: object) -> None:
        """Move the average towards the weights; faster in the first steps, to forget the random beginning."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, current_weights(module), 1 - decay)

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Validate the average."""
        self._trained = [value.clone() for value in current_weights(module)]
        load_weights(module, self.average)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Go on training where the training was."""
        load_weights(module, self._trained)

    def state_dict(self) -> dict[str, Any]:
        """For last.ckpt."""
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From last.ckpt."""
        self.average, self.steps = state["average"], int(state["steps"])


class BestWeights(Callback):
    """The weights of the epoch with the best validation; ties go to the lower loss, then to the earlier epoch.

    criterion: loss, accuracy, or last for the last epoch whose loss is a number.
    """

    def __init__(self, criterion: str) -> None:
        self.criterion = criterion
        self.score: list[float] = []
        self.epoch = 0
        self.weights: Weights = []

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Raise ValueError where a resume brought what can't be loaded into the net."""
        if self.score and not are_weights_of(module, self.weights):
            raise ValueError("the best weights are of another network")

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Compare, with the weights in place that were validated."""
        loss = float(trainer.callback_metrics["validation_loss"])
        accuracy = float(trainer.callback_metrics["validation_accuracy"])
        scores = {"loss": [-loss], "accuracy": [accuracy, -loss], "last": [float(trainer.current_epoch)]}
        score = scores[self.criterion]
        # A diverged epoch (its loss is not a number) is never the best.
        if math.isfinite(loss) and (not self.score or score > self.score):
            self.score, self.epoch = score, trainer.current_epoch + 1
            self.weights = [value.clone() for value in current_weights(module)]

    def state_dict(self) -> dict[str, Any]:
        """For last.ckpt."""
        return {"score": self.score, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From last.ckpt."""
        self.score, self.epoch = [float(score) for score in state["score"]], int(state["epoch"])
        self.weights = state["weights"]
