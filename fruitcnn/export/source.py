"""What formats are made from: of each, what several of them need is read once."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fruitcnn.card import ModelCard
from fruitcnn.identify.identifier import Identifier
from fruitcnn.onnx_file import check_onnx, read_graph

if TYPE_CHECKING:
    import keras
    import onnx

    from fruitcnn.export.gate import Gate
    from fruitcnn.export.performance import Performance
    from fruitcnn.export.photographs import Photographs


class TrainedSource(Protocol):
    """A network as it was trained. Its model or its graph may be made when it is asked for."""

    @property
    def card(self) -> ModelCard:
        """Its card."""

    @property
    def gate(self) -> "Gate":
        """What every file of it must pass."""

    @property
    def model(self) -> "keras.Model":
        """The network in Keras, from pixels [N, S, S, 3] to the card's outputs."""

    @property
    def graph(self) -> "onnx.ModelProto":
        """The same in ONNX, without the card."""

    @property
    def size(self) -> int:
        """S of its input."""

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""


@dataclasses.dataclass(frozen=True)
class KerasSource:
    """A network that was trained in Keras. model: what `answer_model` makes. known: its graph, where there is one."""

    model: "keras.Model"
    card: ModelCard
    gate: "Gate"
    known: "onnx.ModelProto | None" = None

    @functools.cached_property
    def graph(self) -> "onnx.ModelProto":
        """The model's graph. Raises ExportError where there is none."""
        if self.known is not None:
            return self.known
        from fruitcnn.device import on_cpu
        from fruitcnn.export import onnx_graph

        with on_cpu():
            return onnx_graph.to_onnx(self.model)

    @property
    def size(self) -> int:
        """S of its input."""
        return int(self.model.inputs[0].shape[1])

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""
        shapes = (list(output.shape[1:]) for output in self.model.outputs)
        return dict(zip(self.model.output_names, shapes, strict=True))


@dataclasses.dataclass(frozen=True)
class OnnxSource:
    """A finished model.onnx, which was proven when it was written. All that is read of it raises ModelError."""

    file: Path

    @functools.cached_property
    def card(self) -> ModelCard:
        """Its card."""
        return ModelCard.from_onnx(check_onnx(self.file))

    @functools.cached_property
    def graph(self) -> "onnx.ModelProto":
        """Its graph; who changes it, changes a copy."""
        return read_graph(self.file)

    @functools.cached_property
    def identifier(self) -> Identifier:
        """The file, ready to answer."""
        return Identifier.load(self.file)

    @functools.cached_property
    def photographs(self) -> "Photographs":
        """The pictures of the run beside it. Raises DatasetError."""
        from fruitcnn.export.photographs import read_photographs

        return read_photographs(self.file.parent)

    @functools.cached_property
    def performance(self) -> "Performance":
        """What the model is worth on them."""
        from fruitcnn.export.performance import Performance

        return Performance.measure(self.identifier, self.photographs)
