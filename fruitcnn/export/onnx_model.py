"""model.onnx: the answer model for every runtime, with its card inside."""

from pathlib import Path

import onnx

from fruitcnn.card import METADATA_KEY
from fruitcnn.export.formats import ONNX
from fruitcnn.export.gate import Parity, Tolerance
from fruitcnn.export.rounding import GraphRounding
from fruitcnn.export.source import TrainedSource
from fruitcnn.identify.identifier import Identifier

TOLERANCE = Tolerance(logit=1e-4, probability=1e-4)


def write_onnx(source: TrainedSource, file: Path) -> None:
    """Write the graph of the model. Raises ExportError where there is none."""
    graph = source.graph
    onnx.helper.set_model_props(graph, {METADATA_KEY: source.card.to_json()})
    onnx.save(graph, file)


def prove_onnx(source: TrainedSource, file: Path) -> Parity:
    """Load the file as `identify` does and compare its answers. Raises ExportError."""
    gate = source.gate
    answers = Identifier.load(file).outputs(gate.reference.pixels)
    return gate.check(ONNX.file, answers, TOLERANCE, GraphRounding(lambda: source.graph))
