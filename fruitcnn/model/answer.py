"""From a network that gives logits to one that answers: probabilities, familiarity, evidence.

Only layers of plain Keras, so that the file loads without us on every backend, and every node of the exported graph is
one that any runtime has.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from fruitcnn.calibration.conformal import LEVELS
from fruitcnn.calibration.familiarity import SHARPNESS, Familiarity
from fruitcnn.calibration.linear_probe import Heads
from fruitcnn.card import EVIDENCE, FAMILIARITY, PROBABILITIES
from fruitcnn.model.keras_graph import operation_of

# The last Dense layer as a convolution before the pooling.
LOGIT_MAPS = "logit_maps"


def answer_model(
    model: keras.Model,
    *,
    temperature: float = 1.0,
    familiarity: Familiarity | None = None,
    heads: Heads | None = None,
) -> keras.Model:
    """The model that is exported: pixels [N, S, S, 3] to a list of outputs, named by their layers.

    model: from pixels to logits [N, C]; its layers are shared, its weights are not changed. temperature: what the
    logits are divided by, folded into the last Dense layer. heads: layers on its features that answer together, whose
    mean the last Dense layer is.
    The outputs: `probabilities` [N, C]; `familiarity` [N], with a fitted `familiarity` and a Dense layer at the end;
    `evidence` [N, C, h, w], whose mean over places is the calibrated logit, where the network ends in global average
    pooling and Dense: the Dense layer is applied before the pooling, which gives the same.
    """
    last = operation_of(model.outputs[0])
    if not _is_linear_dense(last):
        scaled = layers.Rescaling(1 / temperature, name="calibrated")(model.outputs[0])
        return _with_outputs(model, [layers.Softmax(name=PROBABILITIES)(scaled)])
    features = _before_dropout(last.input)
    kernel, *biases = (np.asarray(weight) / temperature for weight in last.get_weights())
    bias = biases[0] if biases else None
    pool = operation_of(features)
    evidence = None
    if isinstance(pool, layers.GlobalAveragePooling2D):
        maps = _conv(pool.input, kernel, bias)  # [N, h, w, C]
        logits = layers.GlobalAveragePooling2D(name="logits")(maps)
        evidence = layers.Permute((3, 1, 2), name=EVIDENCE)(maps)
    else:
        logits = _dense(features, kernel, bias, name="logits")
    outputs = [
        _mean_probabilities(features, heads, temperature) if heads else layers.Softmax(name=PROBABILITIES)(logits)
    ]
    if familiarity is not None:
        outputs.append(_familiarity(features, logits, familiarity))
    return _with_outputs(model, [*outputs, *([evidence] if evidence is not None else [])])


def features_model(model: keras.Model) -> keras.Model:
    """The same network, from pixels to [features [N, D] before its last Dense layer, logits [N, C]].

    Raises ValueError where it does not end in a Dense layer.
    """
    last = operation_of(model.outputs[0])
    if not _is_linear_dense(last):
        raise ValueError(f"{model.name} does not end in a Dense layer")
    return keras.Model(model.inputs[0], [_before_dropout(last.input), model.outputs[0]], name=model.name)


def has_features(model: keras.Model) -> bool:
    """Whether a model of logits ends in a Dense layer, whose input are its features."""
    return _is_linear_dense(operation_of(model.outputs[0]))


def _is_linear_dense(operation: Any) -> bool:
    return type(operation) is layers.Dense and operation.activation is keras.activations.linear


def _before_dropout(tensor: keras.KerasTensor) -> keras.KerasTensor:
    while isinstance(operation_of(tensor), layers.Dropout):
        tensor = operation_of(tensor).input
    return tensor


def _with_outputs(model: keras.Model, outputs: list[keras.KerasTensor]) -> keras.Model:
    return keras.Model(model.inputs[0], outputs, name=model.name)


def _mean_probabilities(features: keras.KerasTensor, heads: Heads, temperature: float) -> keras.KerasTensor:
    """The mean [N, C] of the probabilities of all heads."""
    answers = []
    for number, head in enumerate(heads.members, 1):
        logits = _dense(features, head.kernel / temperature, head.bias / temperature, name=f"head{number}")
        answers.append(layers.Softmax(name=f"head{number}_probabilities")(logits))
    total = layers.Add(name="total_probabilities")(answers) if len(answers) > 1 else answers[0]
    return layers.Rescaling(1 / len(answers), name=PROBABILITIES)(total)


def _familiarity(features: keras.KerasTensor, logits: keras.KerasTensor, fitted: Familiarity) -> keras.KerasTensor:
    """`Familiarity.score` and `p_value` as layers."""
    unit = layers.UnitNormalization(name="unit_features")(features)
    cosines = _dense(unit, SHARPNESS * fitted.prototypes.T, None, name="prototypes")  # [N, K]
    score = layers.Add(name="score")(
        [
            _log_sum_exp(cosines, fitted.factors[0] / SHARPNESS, name="likeness"),
            _log_sum_exp(logits, fitted.factors[1], name="energy"),
            _dense(features, fitted.gate[:, None], np.array([fitted.gate_bias - fitted.knots[0]]), name="gate"),
        ]
    )  # [N, 1], 0 at the first knot
    knots = fitted.knots.astype(np.float64) - fitted.knots[0]
    # Held within the knots first: products with large scores would lose the digits that the differences need.
    inside = layers.ReLU(max_value=float(knots[-1]), name="score_inside")(score)
    above = _dense(inside, np.ones((1, len(knots) - 1)), -knots[:-1], name="knots")
    slopes = np.diff(LEVELS) / np.diff(knots)
    rises = np.diff(slopes, prepend=0.0)[:, None]
    share = _dense(layers.ReLU(name="above_knots")(above), rises, None, name="share")
    return layers.Reshape((), name=FAMILIARITY)(layers.ReLU(max_value=1.0, name="share_inside")(share))


def _log_sum_exp(values: keras.KerasTensor, factor: float, *, name: str) -> keras.KerasTensor:
    """`factor` times the log-sum-exp [N, 1] of values [N, K].

    A value minus its log-softmax is the log-sum-exp, whichever value; so their mean is.
    """
    log_shares = layers.Activation("log_softmax", name=f"{name}_log_shares")(values)
    equal = layers.Subtract(name=f"{name}_log_sum_exp")([values, log_shares])
    width = values.shape[-1]
    return _dense(equal, np.full((width, 1), factor / width), None, name=name)


def _conv(maps: keras.KerasTensor, kernel: Any, bias: Any) -> keras.KerasTensor:
    layer = layers.Conv2D(kernel.shape[1], 1, use_bias=bias is not None, name=LOGIT_MAPS)
    return _with_weights(layer, maps, [kernel[None, None], bias])


def _dense(values: keras.KerasTensor, kernel: Any, bias: Any, *, name: str) -> keras.KerasTensor:
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, name=name)
    return _with_weights(layer, values, [kernel, bias])


def _with_weights(layer: keras.Layer, values: keras.KerasTensor, weights: list[Any]) -> keras.KerasTensor:
    output = layer(values)
    layer.set_weights([np.asarray(weight, np.float32) for weight in weights if weight is not None])
    return output
