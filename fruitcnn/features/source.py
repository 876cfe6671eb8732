"""A finished classifier of the recipe `features`: its graph has all that it learned, a Keras model follows from it."""

import dataclasses
import functools
from typing import TYPE_CHECKING

import onnx

from fruitcnn.architectures import origin, shipped_architecture
from fruitcnn.card import ModelCard
from fruitcnn.features.answer_graph import HEAD

if TYPE_CHECKING:
    import keras

    from fruitcnn.export.gate import Gate


@dataclasses.dataclass(frozen=True)
class FeaturesSource:
    """What files are made from, as `fruitcnn.export.source.TrainedSource`. graph: what `answer_graph` makes."""

    graph: onnx.ModelProto
    card: ModelCard
    gate: "Gate"

    @functools.cached_property
    def model(self) -> "keras.Model":
        """The same network in Keras. Raises UsageError where the package with its weights is missing."""
        from fruitcnn.features.keras_twin import keras_twin

        return keras_twin(self.graph, self.card)

    @property
    def size(self) -> int:
        """S of its input."""
        return int(self.graph.graph.input[0].type.tensor_type.shape.dim[-1].dim_value)

    @property
    def outputs(self) -> dict[str, list[int]]:
        """Shapes without the batch, by name."""
        return output_shapes(self.graph)


def has_keras_twin(graph: onnx.ModelProto, card: ModelCard) -> bool:
    """Whether `answer_graph` has made a graph of a network whose weights are those of the shipped one's package."""
    has_head = any(tensor.name == f"{HEAD}/kernel" for tensor in graph.graph.initializer)
    return has_head and card.provenance.get("weights") == origin(shipped_architecture(), "imagenet")


def output_shapes(graph: onnx.ModelProto) -> dict[str, list[int]]:
    """Shapes of a graph's outputs without the batch, by name."""
    shapes = ((output.name, output.type.tensor_type.shape.dim[1:]) for output in graph.graph.output)
    return {name: [int(side.dim_value) for side in sides] for name, sides in shapes}
