"""What formats are made from: of each, what several of them need is read once."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from fruitcnn.card import ModelCard
from fruitcnn.identify.identifier import Identifier
from fruitcnn.onnx_file import check_onnx, read_graph

if TYPE_CHECKING:
    import keras
    import onnx

    from fruitcnn.export.gate import Gate
    from fruitcnn.export.performance import Performance
    from fruitcnn.export.photographs import Photographs


@dataclasses.dataclass(frozen=True)
class KerasSource:
    """A network as it was trained. model: what `answer_model` makes. gate: what every file must pass."""

    model: "keras.Model"
    card: ModelCard
    gate: "Gate"


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
