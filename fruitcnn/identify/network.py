"""A model.onnx that is held to what its card promises: when it is opened, and at each answer."""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from fruitcnn.arrays import Float32Array
from fruitcnn.card import EVIDENCE, FAMILIARITY, INPUT, PROBABILITIES, ModelCard
from fruitcnn.errors import ModelError
from fruitcnn.image import Pixels
from fruitcnn.onnx_file import OnnxFile, check_onnx, what_makes, with_output
from fruitcnn.runtime import Session, most_at_once, shared_out
from fruitcnn.wording import counted

# How far the probabilities of a picture may be from summing to 1, and a familiarity from 0..1: a model in half
# precision is within it.
_TOLERANCE = 0.01
_LARGEST_BATCH = 16


class Network:
    """A network with its card. Safe to share between threads."""

    def __init__(self, file: Path, *, once: bool, many: bool, threads: int, features: bool = False) -> None:
        """Raises ModelError for a file that is not understood, or whose graph is not as its card says.

        many: so many threads ask at a time, each about a picture.
        features: what the evidence is made of is to be had, too, where the graph has it.
        """
        checked = check_onnx(file)
        self.file = file
        # First, because a card of a later format says which version reads it.
        self.card = ModelCard.from_onnx(checked)
        self._maps = _feature_maps(checked) if features and EVIDENCE in self.card.shapes() else ""
        graph = with_output(checked, self._maps) if self._maps else checked
        if many:
            _, threads = shared_out(threads, self.card.size)
        self._session = Session(graph, once=once, threads=threads)
        self._places = threading.Semaphore(most_at_once(self.card.size))
        _check_graph(self._session, self.card)
        self._shapes = {name: shape for name, shape in self.card.shapes().items() if name != INPUT}

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that the card promises, as far as this version knows them; the probabilities first."""
        return list(self._shapes)

    @property
    def batch(self) -> int:
        """How many pictures are worth giving at once."""
        return min(_LARGEST_BATCH, most_at_once(self.card.size))

    def answers(self, names: list[str], pixels: Pixels) -> list[Float32Array]:
        """These outputs to uint8 RGB pixels [N, S, S, 3]. Raises ModelError where they are not what they should be."""
        return self._checked(names, self._session.answers(names, pixels), len(pixels))

    def answers_and_features(self, names: list[str], pixels: Pixels) -> tuple[list[Float32Array], Float32Array | None]:
        """The same to a picture [1, S, S, 3], with features [1, D], the means of the last feature maps; None where the
        graph has none. In many threads at once: as many wait as would take too much memory together.
        """
        with self._places:
            if not self._maps:
                return self.answers(names, pixels), None
            *answers, maps = self._session.answers([*names, self._maps], pixels)
            return self._checked(names, answers, len(pixels)), maps.mean(axis=(2, 3), dtype=np.float32)

    def _checked(self, names: list[str], answers: list[Float32Array], count: int) -> list[Float32Array]:
        for name, answer in zip(names, answers, strict=True):
            self._check(name, answer, (count, *self._shapes[name]))
        return answers

    def _check(self, name: str, answer: Any, shape: tuple[int, ...]) -> None:
        if not isinstance(answer, np.ndarray) or (answer.dtype, answer.shape) != (np.float32, shape):
            found = f"{answer.dtype} {list(answer.shape)}" if isinstance(answer, np.ndarray) else type(answer).__name__
            raise self._wrong(f"answers with {found} where {name} belong: float32 {list(shape)}")
        # Written so that what is not a number fails too.
        if name == PROBABILITIES and not (np.all(answer >= 0) and np.all(np.abs(answer.sum(axis=1) - 1) <= _TOLERANCE)):
            raise self._wrong("answers with what are no probabilities")
        if name == FAMILIARITY and not np.all(np.abs(answer - 0.5) <= 0.5 + _TOLERANCE):
            raise self._wrong("answers with a familiarity that is not between 0 and 1")
        if name == EVIDENCE and not np.all(np.isfinite(answer)):
            raise self._wrong("answers with evidence that is no number")

    def _wrong(self, problem: str) -> ModelError:
        return ModelError(problem, value=self.file, remedy="train or export it again")


def _feature_maps(file: OnnxFile) -> str:
    """The tensor of which a convolution makes the evidence; "" in a graph that has it from elsewhere."""
    kind, inputs = what_makes(file, EVIDENCE)
    return inputs[0] if kind == "Conv" else ""


def _check_graph(session: Session, card: ModelCard) -> None:
    batch = next(iter(session.inputs.values()), [])[:1]
    if batch and isinstance(batch[0], int):
        raise ModelError(
            f"takes {counted(batch[0], 'picture', 'pictures')} at a time, no more and no fewer",
            value=session.file,
            remedy="export it with a batch of any size",
        )
    shapes = {name: shape[1:] for name, shape in (session.inputs | session.outputs).items()}
    wanted = card.shapes()
    # What the file has beyond that is for others.
    if any(shapes.get(name) != shape for name, shape in wanted.items()) or set(session.inputs) != {INPUT}:
        found = {name: shapes.get(name, "nothing") for name in wanted}
        raise ModelError(
            f"its graph and its card disagree (card: {wanted}, graph: {found}, inputs: {len(session.inputs)})",
            value=session.file,
            remedy="export it again",
        )
