"""int8.onnx and fp16.onnx: model.onnx in a quarter and in half of its bytes, where they hold on photographs.

Both keep its inputs, outputs and card. fp16 keeps the weights in half precision and computes in float32, which is what
a CPU does fastest. int8 computes in whole numbers of 8 bits, which is faster still; what that costs depends on the
network and on the processor, so no file is left that loses too much on the pictures of the run.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.numpy_helper import from_array, to_array
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from fruitcnn import checkpoint
from fruitcnn.arrays import Float32Array
from fruitcnn.card import INPUT, METADATA_KEY
from fruitcnn.config import load_config
from fruitcnn.dataset.records import TEST, TRAIN, VALIDATION
from fruitcnn.dataset.saved_split import apply_split
from fruitcnn.dataset.scan import scan
from fruitcnn.dataset.store import PixelRows
from fruitcnn.errors import DatasetError, ExportError
from fruitcnn.export.onnx_graph import IR_VERSION
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import UNKNOWN, Identification
from fruitcnn.image import Pixels
from fruitcnn.onnx_file import check_onnx, read_graph
from fruitcnn.outputs import written_whole
from fruitcnn.runtime import batches, network_input

# Shares of the pictures: how many more mistakes, and how many more or fewer refusals, a smaller file may make.
MOST_LOST, MOST_REFUSED = 0.005, 0.02
# How far the familiarity of a picture may lie from what it was, on the mean.
MOST_FAMILIARITY = 0.1
# Pictures whose activations set the scales of int8; more change nothing.
CALIBRATION = 256
_BATCH = 16
# Smaller weights stay float32: they are a handful of bytes, biases and constants among them.
_LARGE = 1024


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Pictures of a run. calibration: uint8 [K, S, S, 3], trained on; pixels [M, S, S, 3], labels [M], to be judged on.

    name: of the split that the latter are from.
    """

    calibration: Pixels
    pixels: PixelRows
    labels: list[str]
    name: str


def read_photographs(folder: Path) -> Photographs:
    """The pictures of a checkpoint directory, by its config.yaml and split.csv.

    Judged on are its test and validation pictures; of a run that trained on all, those that don't calibrate. Raises
    DatasetError where they are not at hand.
    """
    data = load_config(folder / checkpoint.CONFIG).data
    if data.path is None or not Path(data.path).exists():
        raise DatasetError(
            f"its pictures ({data.path}) are not here, and a smaller file must be shown to hold on them",
            value=folder / checkpoint.CONFIG,
            remedy="start the command where that path leads to them",
        )
    # The run's own split takes the place of this one.
    dataset = scan(Path(data.path), sizes=[data.size])
    dataset = apply_split(dataset, folder / checkpoint.SPLIT)
    training = dataset.in_split(TRAIN)
    chosen = np.linspace(0, len(training) - 1, min(CALIBRATION, len(training))).astype(int)
    calibration = dataset.rows([training[index] for index in chosen], data.size)[:]
    judged = [record for split in (TEST, VALIDATION) for record in dataset.in_split(split)]
    name = "held-back"
    if not judged:
        taken = set(chosen.tolist())
        judged, name = [record for index, record in enumerate(training) if index not in taken], "training"
    return Photographs(calibration, dataset.rows(judged, data.size), [record.label for record in judged], name)


@dataclasses.dataclass(frozen=True)
class Worth:
    """What a model makes of the pictures that it is judged on: shares of them, and the familiarity of each [M]."""

    accuracy: float
    refused: float
    familiarity: NDArray[np.float64]

    @classmethod
    def measure(cls, file: Path, photographs: Photographs) -> "Worth":
        """Ask a model.onnx, or what keeps its contract."""
        answers = [
            answer
            for answer in Identifier.load(file).identify_many(iter(photographs.pixels))
            # A Rejection can't come: these are pixels.
            if isinstance(answer, Identification)
        ]
        right = [_likeliest(answer) == label for answer, label in zip(answers, photographs.labels, strict=True)]
        refused = [answer.identify_label == UNKNOWN for answer in answers]
        familiarity = [1.0 if answer.familiarity is None else answer.familiarity for answer in answers]
        return cls(float(np.mean(right)), float(np.mean(refused)), np.array(familiarity))


def _likeliest(answer: Identification) -> str:
    return answer.labels[int(np.argmax(answer.probabilities))]


@dataclasses.dataclass(frozen=True)
class Held:
    """A smaller file that passed the gate: its share of the bytes of model.onnx, and what both are worth where."""

    file: Path
    share: float
    before: Worth
    after: Worth
    where: str

    def __str__(self) -> str:
        return f"{self.file}: {self.share:.0%} of the bytes of {checkpoint.ONNX}; {self.figures()}"

    def figures(self) -> str:
        """What the pictures say."""
        return (
            f"on {self.where} accuracy {self.after.accuracy:.2%} ({self.before.accuracy:.2%} before), refused "
            f"{self.after.refused:.2%} ({self.before.refused:.2%}), familiarity off by "
            f"{familiarity_change(self.before, self.after):.3f} on the mean"
        )


def write_int8(model_file: Path, file: Path, photographs: Photographs) -> Held:
    """Write a model.onnx in whole numbers of 8 bits.

    Activations unsigned, weights signed and a scale for each channel; the weights take 7 bits, because processors
    without VNNI add two products in 16. Raises ExportError where it does not hold; then no file is left.
    """
    return _write_gated(model_file, file, photographs, lambda temporary: _quantize(model_file, temporary, photographs))


def write_fp16(model_file: Path, file: Path, photographs: Photographs) -> Held:
    """Write a model.onnx whose large weights are in half precision. Raises ExportError as `write_int8` does."""
    return _write_gated(model_file, file, photographs, lambda temporary: onnx.save(halve(model_file), temporary))


def _write_gated(model_file: Path, file: Path, photographs: Photographs, write: Callable[[Path], None]) -> Held:
    with written_whole(file) as temporary:
        write(temporary)
        share = temporary.stat().st_size / model_file.stat().st_size
        before, after = (Worth.measure(path, photographs) for path in (model_file, temporary))
        held = Held(file, share, before, after, f"{len(photographs.labels):,} {photographs.name} pictures")
        problem = find_loss(held.before, held.after)
        if problem:
            raise ExportError(
                f"{problem}: {held.figures()}; nothing was written",
                value=file,
                remedy=f"use {model_file.name}, or another of the smaller formats",
            )
        return held


def familiarity_change(before: Worth, after: Worth) -> float:
    """By how much the familiarity of a picture changed, on the mean."""
    return float(np.abs(after.familiarity - before.familiarity).mean())


def find_loss(before: Worth, after: Worth) -> str:
    """What of the gate does not hold; empty where all does."""
    if not before.accuracy - after.accuracy <= MOST_LOST:
        return f"loses more than {MOST_LOST:.1%} of accuracy"
    if not abs(before.refused - after.refused) <= MOST_REFUSED:
        return f"changes what is refused by more than {MOST_REFUSED:.0%} of the pictures"
    if not familiarity_change(before, after) <= MOST_FAMILIARITY:
        return f"moves the familiarity by more than {MOST_FAMILIARITY}"
    return ""


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Pixels) -> None:
        self._batches = batches(pixels, _BATCH)

    def get_next(self) -> dict[str, Float32Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: network_input(batch)}


def _quantize(model_file: Path, file: Path, photographs: Photographs) -> None:
    model = read_graph(model_file)
    with _silent():
        quantize_static(
            model,
            file,
            _Reader(photographs.calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(_behind_convolutions(model.graph)),
        )
    smaller = read_graph(file)
    smaller.ir_version, smaller.producer_name = IR_VERSION, model.producer_name
    onnx.helper.set_model_props(smaller, {METADATA_KEY: check_onnx(model_file).metadata[METADATA_KEY]})
    onnx.checker.check_model(smaller, full_check=True)
    onnx.save(smaller, file)


def _behind_convolutions(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the nodes that turn features into answers: their few numbers cost no time, and their digits count."""
    features = {name for node in graph.node if node.op_type == "Conv" for name in node.input}
    wanted = {node.output[0]: node for node in graph.node}
    ahead: set[str] = set()
    waiting = [name for name in features if name in wanted]
    while waiting:
        node = wanted[waiting.pop()]
        if node.name not in ahead:
            ahead.add(node.name)
            waiting += [name for name in node.input if name in wanted]
    return (node.name for node in graph.node if node.name not in ahead and node.op_type != "Conv")


def halve(model_file: Path) -> onnx.ModelProto:
    """A model.onnx with its large weights in half precision, each turned into float32 before it is used."""
    model = read_graph(model_file)
    casts = []
    for tensor in model.graph.initializer:
        weights = to_array(tensor)
        if weights.dtype == np.float32 and weights.size >= _LARGE:
            name = tensor.name
            tensor.CopyFrom(from_array(weights.astype(np.float16), f"{name}/half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], name=f"Cast_{name}", to=1))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    # It advises, on every call, what has been done to the graph already.
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
