"""What an exported model answers, built in plain Keras layers on top of a trained model's logits."""

import keras
from keras import layers


def answer_model(model: keras.Model, *, temperature: float) -> keras.Model:
    """The model from pixels [N, S, S, 3] to `probabilities` [N, C], softmax of the logits over `temperature`.

    The temperature (Guo et al. 2017) goes into the weights of the last layer where that is a linear Dense, which are
    changed in place; else into a Rescaling after it. So the exported file needs no knowledge of it.
    """
    logits = model.outputs[0]
    last = logits._keras_history.operation
    if type(last) is layers.Dense and last.activation is keras.activations.linear:
        for weight in last.weights:
            weight.assign(weight.value / temperature)
    else:
        logits = layers.Rescaling(1 / temperature, name="temperature")(logits)
    return keras.Model(model.inputs[0], layers.Softmax(name="probabilities")(logits), name=model.name)
