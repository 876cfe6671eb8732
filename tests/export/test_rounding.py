"""How far rounding moves answers, and that the gate takes no defect for rounding."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fruitcnn.card import INPUT, PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.gate import Gate, Tolerance
from fruitcnn.export.reference import Reference
from fruitcnn.export.rounding import rounding
from fruitcnn.runtime import Session

SIDE, CLASSES = 4, 3
NUMBERS = 3 * SIDE * SIDE
STRICT = Tolerance(logit=1e-6, probability=1e-6)


def linear_network(cancelling: float) -> onnx.ModelProto:
    """A Dense layer on the pixels; `cancelling`: a weight that half of them have, and the others its negative."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.001, (NUMBERS, CLASSES)) + cancelling * np.repeat([1, -1], NUMBERS // 2)[:, None] * [
        1,
        2,
        3,
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], ["pixels"]),
            helper.make_node("MatMul", ["pixels", "kernel"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(kernel.astype(np.float32), "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def reference_of(network: onnx.ModelProto) -> Reference:
    pixels = np.full((6, SIDE, SIDE, 3), 128, np.uint8)
    # Of one that is added and one that is taken away, so that it is all the same how large both weights are.
    pixels[:, 1, 2, ::2] = np.arange(100, 160, 10)[:, None]
    (probabilities,) = Session(network.SerializeToString()).answers([PROBABILITIES], pixels)
    return Reference(("a", "b", "c"), pixels, np.log(probabilities))


def test_rounding_is_seen_where_large_weights_cancel() -> None:
    steady, shaky = linear_network(0), linear_network(0.5)
    found = rounding(steady, reference_of(steady))
    assert 0 < found.logit < 2e-5 and 0 < found.probability < 2e-5
    found = rounding(shaky, reference_of(shaky))
    assert 5e-4 < found.logit < 1e-2 and 1e-4 < found.probability < 1e-2
    network = linear_network(100)
    assert rounding(network, reference_of(network)) == Tolerance(1e-2, 1e-2)


@pytest.mark.parametrize(("cancelling", "off", "is_good"), [(0.5, 2e-4, True), (0.5, 5e-2, False), (0, 2e-4, False)])
def test_a_file_may_be_off_by_what_rounding_changes_and_no_more(cancelling: float, off: float, is_good: bool) -> None:
    network = linear_network(cancelling)
    reference = reference_of(network)
    logits = reference.logits.copy()
    logits[2, 1] += off
    powers = np.exp(logits)
    answers = {PROBABILITIES: powers / powers.sum(axis=1, keepdims=True)}
    gate = Gate(reference)
    if is_good:
        assert gate.check("some.file", answers, STRICT, lambda: rounding(network, reference)).logit > STRICT.logit
    else:
        with pytest.raises(ExportError, match="a logit by"):
            gate.check("some.file", answers, STRICT, lambda: rounding(network, reference))


def test_nothing_is_measured_for_a_file_that_agrees() -> None:
    reference = reference_of(linear_network(0))
    Gate(reference).check("some.file", {PROBABILITIES: np.exp(reference.logits)}, STRICT, lambda: pytest.fail("asked"))
