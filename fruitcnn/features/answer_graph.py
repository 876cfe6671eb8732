"""From features to answers as ONNX nodes: the same outputs that `fruitcnn.model.answer` gives a Keras network.

Only nodes of the default domain at the backbone's own opset, each of which any runtime has.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fruitcnn.calibration.conformal import LEVELS
from fruitcnn.calibration.familiarity import SHARPNESS, Familiarity
from fruitcnn.calibration.linear_probe import Heads
from fruitcnn.card import EVIDENCE, FAMILIARITY, PROBABILITIES
from fruitcnn.features.backbone import FEATURES, MAPS, PLACES

# Before the names of the last layer's weights, by which such a graph is known again.
HEAD = "head"


def member(number: int) -> str:
    """Before the names of the weights of one of the heads that answer together, from 1."""
    return f"{HEAD}{number}"


_SMALLEST_NORM = 1e-6


class _Writer:
    """Adds nodes and constants to a graph; each method returns the name of its result."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def constant(self, values: Any, name: str, dtype: type = np.float32) -> str:
        """A tensor that does not change."""
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One operation."""
        number = sum(node.op_type == kind for node in self._graph.node) + 1
        self._graph.node.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{number}", **attributes))
        return output

    def dense(self, values: str, kernel: Any, bias: Any, output: str) -> str:
        """[N, K] times kernel [K, M], plus bias [M] where there is one."""
        names = [values, self.constant(np.asarray(kernel).T, f"{output}/kernel")]
        if bias is not None:
            names.append(self.constant(bias, f"{output}/bias"))
        return self.node("Gemm", names, output, transB=1)

    def log_sum_exp(self, values: str, width: int, factor: float, output: str) -> str:
        """`factor` times the log-sum-exp [N, 1] of values [N, width]: a value minus its log-softmax, whichever."""
        logs = self.node("LogSoftmax", [values], f"{output}/logs", axis=1)
        equal = self.node("Sub", [values, logs], f"{output}/equal")
        return self.dense(equal, np.full((width, 1), factor / width), None, output)


def answer_graph(
    backbone: onnx.ModelProto, heads: Heads, *, temperature: float, familiarity: Familiarity
) -> onnx.ModelProto:
    """A whole model.onnx but for its card: the backbone and the outputs that the card's names stand for.

    backbone: with the names of `cut_backbone`. heads: from pooled features [N, D] to logits [N, C]. temperature: what
    the logits are divided by, folded into the heads. The probabilities are the mean of those of all heads; the
    evidence's mean over places is the calibrated logit, the mean of those of all heads.
    """
    model = onnx.ModelProto()
    model.CopyFrom(backbone)
    head = heads.mean
    graph, classes = model.graph, len(head.bias)
    write = _Writer(graph)
    kernel = (head.kernel / np.float32(temperature)).T[:, :, None, None]  # [C, D, 1, 1]
    maps = [
        MAPS,
        write.constant(kernel, f"{HEAD}/kernel"),
        write.constant(head.bias / np.float32(temperature), f"{HEAD}/bias"),
    ]
    evidence = write.node("Conv", maps, EVIDENCE, kernel_shape=[1, 1])
    logits = write.node("ReduceMean", [evidence, PLACES], "logits", keepdims=0)
    _write_probabilities(write, logits, heads, temperature)
    _write_familiarity(write, logits, classes, familiarity)
    del graph.output[:]
    shapes = {PROBABILITIES: [classes], FAMILIARITY: [], EVIDENCE: [classes, *_places(backbone)]}
    for name, shape in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape]))
    graph.name = "fruitcnn"
    onnx.checker.check_model(model, full_check=True)
    return model


def _places(backbone: onnx.ModelProto) -> list[int]:
    """Height and width of its feature maps."""
    inferred = onnx.shape_inference.infer_shapes(backbone).graph.value_info
    maps = next(value for value in inferred if value.name == MAPS)
    return [side.dim_value for side in maps.type.tensor_type.shape.dim[2:]]


def _write_probabilities(write: _Writer, logits: str, heads: Heads, temperature: float) -> None:
    """The softmax of the logits of one head, or the mean of several ones'."""
    if len(heads.members) == 1:
        write.node("Softmax", [logits], PROBABILITIES, axis=1)
        return
    total = ""
    for number, head in enumerate(heads.members, 1):
        kernel, bias = head.kernel / np.float32(temperature), head.bias / np.float32(temperature)
        values = write.dense(FEATURES, kernel, bias, member(number))
        answer = write.node("Softmax", [values], f"{member(number)}/probabilities", axis=1)
        total = write.node("Add", [total, answer], f"{member(number)}/total") if total else answer
    write.node("Mul", [total, write.constant(1 / len(heads.members), "share")], PROBABILITIES)


def _write_familiarity(write: _Writer, logits: str, classes: int, fitted: Familiarity) -> None:
    """`Familiarity.score` and `p_value` as nodes."""
    last = write.constant([1], "last", np.int64)
    norm = write.node("ReduceL2", [FEATURES, last], "norm", keepdims=1)
    norm = write.node("Clip", [norm, write.constant(_SMALLEST_NORM, "smallest_norm")], "norm_above_0")
    unit = write.node("Div", [FEATURES, norm], "unit_features")
    cosines = write.dense(unit, SHARPNESS * fitted.prototypes.T, None, "prototypes")  # [N, K]
    likeness = write.log_sum_exp(cosines, len(fitted.prototypes), fitted.factors[0] / SHARPNESS, "likeness")
    energy = write.log_sum_exp(logits, classes, fitted.factors[1], "energy")
    gate = write.dense(FEATURES, fitted.gate[:, None], [fitted.gate_bias - fitted.knots[0]], "gate")
    score = write.node("Add", [write.node("Add", [likeness, energy], "known"), gate], "score")  # 0 at the first knot
    knots = fitted.knots.astype(np.float64) - fitted.knots[0]
    # Held within the knots first: products with large scores would lose the digits that the differences need.
    zero, top = write.constant(0, "zero"), write.constant(knots[-1], "last_knot")
    inside = write.node("Clip", [score, zero, top], "score_inside")
    above = write.dense(inside, np.ones((1, len(knots) - 1)), -knots[:-1], "knots")
    slopes = np.diff(LEVELS) / np.diff(knots)
    rises = np.diff(slopes, prepend=0.0)[:, None]
    level = write.dense(write.node("Relu", [above], "above_knots"), rises, None, "level")
    level = write.node("Clip", [level, zero, write.constant(1, "one")], "level_inside")
    write.node("Reshape", [level, write.constant([-1], "flat", np.int64)], FAMILIARITY, allowzero=1)
