"""How far rounding moves answers, and that the gate takes no defect for rounding."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fruitcnn.card import INPUT, PROBABILITIES
from fruitcnn.errors import ExportError
from fruitcnn.export.gate import Gate, Parity, Tolerance
from fruitcnn.export.reference import Reference
from fruitcnn.export.rounding import GraphRounding
from fruitcnn.runtime import Session

SIDE, CLASSES = 4, 3
NUMBERS = 3 * SIDE * SIDE
STRICT = Tolerance(logit=1e-6, probability=1e-6)


def linear_network(cancelling: float, unlikely: float = 0) -> onnx.ModelProto:
    """A Dense layer on the pixels.

    cancelling: a weight that half of them have, and the others its negative. unlikely: what the last logit is less.
    """
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.001, (NUMBERS, CLASSES)) + cancelling * np.repeat([1, -1], NUMBERS // 2)[:, None] * [
        1,
        2,
        3,
    ]
    constants = {"kernel": kernel, "bias": np.array([0, 0, -unlikely])}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", [INPUT], ["pixels"]),
            helper.make_node("Gemm", ["pixels", "kernel", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def greys() -> np.ndarray:
    """Six pictures that differ in a pixel; the last one is black."""
    pixels = np.full((6, SIDE, SIDE, 3), 128, np.uint8)
    # Of a colour that is added and of one that is taken away, so that it is all the same how large both weights are.
    pixels[:, 1, 2, ::2] = np.arange(100, 160, 10)[:, None]
    pixels[-1] = 0
    return pixels


def of(network: onnx.ModelProto) -> GraphRounding:
    return GraphRounding(lambda: network)


def probabilities_of(network: onnx.ModelProto) -> np.ndarray:
    return Session(network.SerializeToString()).answers([PROBABILITIES], greys())[0]


def check(network: onnx.ModelProto, picture: int, off: float, column: int = 1) -> Parity:
    """What the gate says of a file that has a logit of a picture other than the network by so much."""
    reference = Reference(("a", "b", "c"), greys(), np.log(probabilities_of(network)))
    logits = reference.logits.copy()
    logits[picture, column] += off
    powers = np.exp(logits)
    answers = {PROBABILITIES: powers / powers.sum(axis=1, keepdims=True)}
    return Gate(reference).check("some.file", answers, STRICT, of(network))


def test_rounding_is_seen_where_large_weights_cancel() -> None:
    steady, shaky = (of(linear_network(weight)).probabilities(greys()) for weight in (0, 0.5))
    assert (steady.logit[:5] > 0).all() and (steady.logit < 2e-5).all() and (steady.probability < 2e-5).all()
    assert (shaky.logit[:5] > 1e-3).all() and (shaky.probability[:5] > 1e-4).all()
    # Where nothing is added up, nothing is rounded.
    assert shaky.logit[5] < 1e-12 and shaky.probability[5] < 1e-12


def test_rounding_is_seen_beside_a_probability_that_is_nothing() -> None:
    network = linear_network(0.5, unlikely=120)
    assert (probabilities_of(network)[:, 2] == 0).all()
    found = of(network).probabilities(greys())
    assert np.isfinite(found.logit).all() and (found.logit[:5] > 1e-3).all()


def test_another_output_is_measured_on_the_mean() -> None:
    """The same probabilities, under another name."""
    network = linear_network(0.5)
    network.graph.node[-1].output[0] = network.graph.output[0].name = "familiarity"
    known = of(linear_network(0.5)).probabilities(greys()).probability
    assert 0 < of(network).mean("familiarity", greys()) <= known.mean()


def test_a_picture_may_be_off_by_what_rounding_changes_of_it_and_no_more() -> None:
    shaky = linear_network(0.5)
    parity = check(shaky, 2, 2e-4)
    assert parity.logit > STRICT.logit and str(parity).endswith(", no more than rounding alone changes")
    for network, picture, off in ((shaky, 2, 5e-2), (shaky, 5, 2e-4), (linear_network(0), 2, 2e-4)):
        with pytest.raises(ExportError, match="a logit by"):
            check(network, picture, off)
    # Of what is as good as impossible the logit alone tells.
    with pytest.raises(ExportError, match="a logit by"):
        check(linear_network(0, unlikely=30), 2, 2e-3, column=2)
    # However much rounding changes: a hundredth is no rounding any more.
    assert of(linear_network(100)).probabilities(greys()).probability.max() > 0.1
    with pytest.raises(ExportError, match=r"allowed: 1e-02"):
        check(linear_network(100), 2, 5e-2)


def test_nothing_is_measured_for_a_file_that_agrees() -> None:
    reference = Reference(("a", "b", "c"), greys(), np.log(probabilities_of(linear_network(0))))
    answers = {PROBABILITIES: np.exp(reference.logits)}
    parity = Gate(reference).check("some.file", answers, STRICT, GraphRounding(lambda: pytest.fail("asked")))
    assert "rounding" not in str(parity)
