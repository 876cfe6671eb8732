"""A teacher: a finished model whose answers a smaller network learns (Hinton et al. 2015).

Both see the same augmented view (Beyer et al. 2022), each at its own size, so that what is learned is the teacher's
function and not its answers to a few pictures. Labels are not used.
"""

from pathlib import Path

import torch
from torch.nn import functional

from fruitcnn import checkpoint
from fruitcnn.card import ModelCard
from fruitcnn.errors import ModelError
from fruitcnn.model import TorchForward, keras


class Teacher:
    """The model of a checkpoint directory, from pixels to calibrated logits; it learns nothing."""

    def __init__(self, folder: str | Path, *, labels: list[str]) -> None:
        """Raises ModelError where it can't be loaded, or names other classes than `labels`."""
        file = Path(folder) / checkpoint.KERAS
        try:
            card = ModelCard.from_json((Path(folder) / checkpoint.CARD).read_text("utf-8"), source=folder)
            model = keras.saving.load_model(file, compile=False)
        except (OSError, ValueError) as error:
            problem = f"can't be loaded as a teacher ({error})"
            raise ModelError(problem, value=file, remedy="name a finished run's folder") from error
        if list(card.labels) != labels:
            problem = f"its classes ({', '.join(card.labels)}) are not those of the data set"
            raise ModelError(problem, value=folder, remedy="use a teacher of the same classes")
        self.size = card.size
        probabilities = model.outputs[0]._keras_history.operation
        self._net = TorchForward(keras.Model(model.inputs[0], probabilities.input)).eval()

    @torch.no_grad()
    def logits(self, views: torch.Tensor) -> torch.Tensor:
        """Calibrated logits [N, C] of float32 pixels [N, 3, V, V], brought to the teacher's size."""
        found: torch.Tensor = self._net(resized(views, self.size)).float()
        return found


def resized(views: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels [N, 3, V, V] at [size, size], smoothed where they get smaller."""
    if views.shape[-1] == size:
        return views
    return functional.interpolate(views, size=size, mode="bilinear", antialias=True, align_corners=False)


def distillation_loss(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of softened answers [N, C] against the teacher's, as large whatever the `temperature`."""
    shares = (taught / temperature).softmax(1)
    return temperature**2 * functional.cross_entropy(logits / temperature, shares)
