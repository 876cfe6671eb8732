"""A teacher: a finished model whose answers a smaller network learns (Hinton et al. 2015).

Both see the same augmented view (Beyer et al. 2022), each at its own size, so that what is learned is the teacher's
function and not its answers to a few pictures. Labels are not used.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from fruitcnn import checkpoint
from fruitcnn.card import INPUT, PROBABILITIES
from fruitcnn.errors import ModelError
from fruitcnn.identify.identifier import Identifier
from fruitcnn.model import TorchForward, keras
from fruitcnn.model.archive import load_keras
from fruitcnn.model.keras_graph import operation_of
from fruitcnn.models import find_run
from fruitcnn.onnx_file import check_onnx
from fruitcnn.runtime import Session


class Teacher:
    """The model of a checkpoint directory, or of that name, from pixels to calibrated logits; it learns nothing."""

    def __init__(self, folder: str | Path, *, labels: list[str], device: torch.device) -> None:
        """Raises ModelError where it can't be loaded, or names other classes than `labels`.

        device: on a CPU the exported graph answers, three times as fast as the same network in torch.
        """
        load = _graph if device.type == "cpu" else functools.partial(_network, device=device)
        try:
            folder = find_run(folder)
            # The door of every model: its card is the one in the graph, and they agree.
            card = Identifier.load(folder / checkpoint.ONNX).card
            self._log_probabilities = load(folder)
        except ModelError as error:
            value = f"train.teacher: {error.value or folder}"
            raise ModelError(error.problem, value=value, remedy=error.remedy) from error
        except Exception as error:
            # Keras raises what its many readers raise.
            problem = f"can't be loaded as a teacher ({error})"
            raise ModelError(problem, value=folder, remedy="name a finished run's folder") from error
        if list(card.labels) != labels:
            problem = f"its classes ({', '.join(card.labels)}) are not those of the data set"
            raise ModelError(problem, value=folder, remedy="use a teacher of the same classes")
        self.size = card.size

    @torch.no_grad()
    def log_probabilities(self, views: torch.Tensor) -> torch.Tensor:
        """What the teacher answers [N, C] to float32 pixels [N, 3, V, V], brought to its size."""
        return self._log_probabilities(resized(views, self.size))


def _graph(folder: Path) -> Callable[[torch.Tensor], torch.Tensor]:
    session = Session(check_onnx(folder / checkpoint.ONNX), threads=torch.get_num_threads())

    def log_probabilities(pixels: torch.Tensor) -> torch.Tensor:
        (probabilities,) = session.run([PROBABILITIES], {INPUT: pixels.numpy()})
        return torch.from_numpy(probabilities).clamp_min(torch.finfo(torch.float32).tiny).log()

    return log_probabilities


def _network(folder: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    model = load_keras(folder / checkpoint.KERAS)
    last = operation_of(model.outputs[0])
    one = isinstance(last, keras.layers.Softmax)
    net = TorchForward(keras.Model(model.inputs[0], last.input if one else model.outputs[0])).eval().to(device)

    def log_probabilities(pixels: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = net(pixels).float()
        # The mean of several softmaxes has no logits.
        return answers.log_softmax(1) if one else answers.clamp_min(torch.finfo(torch.float32).tiny).log()

    return log_probabilities


def resized(views: torch.Tensor, size: int) -> torch.Tensor:
    """Pixels [N, 3, V, V] at [size, size], smoothed where they get smaller."""
    if views.shape[-1] == size:
        return views
    return functional.interpolate(views, size=size, mode="bilinear", antialias=True, align_corners=False)


def distillation_loss(logits: torch.Tensor, taught: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross-entropy of softened answers [N, C] against the teacher's, as large whatever the `temperature`."""
    probabilities = (taught / temperature).softmax(1)
    return temperature**2 * functional.cross_entropy(logits / temperature, probabilities)
