"""The same network laid out for training in torch: channels first, fused batch norm, logits instead of probabilities.

Keras models have to be channels_last to run on every backend, and in that layout torch spends a third of a training
step on copies. Weights have the same shapes in both, so a twin takes them and gives them back as they are.
"""

from typing import Any

import keras
import torch
from torch.nn import functional


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Keras' batch norm through torch's fused kernel: one pass instead of seven, and one node in the graph.

    The moving variance is torch's unbiased one; for the N*H*W samples of an image batch the two do not differ.
    """

    def call(self, inputs: torch.Tensor, training: bool | None = None, mask: object = None) -> torch.Tensor:
        """Normalise [N, C, H, W] over N, H and W."""
        return functional.batch_norm(
            inputs,
            self.moving_mean.value,
            self.moving_variance.value,
            self.gamma.value,
            self.beta.value,
            training=bool(training),
            momentum=1 - self.momentum,
            eps=self.epsilon,
        )


def training_twin(model: keras.Model) -> keras.Model:
    """A channels_first copy of `model` with the same weights, from pixels [N, 3, S, S] to logits [N, C].

    Where the network pools globally, S may be any size, another one in each batch.
    """
    fixed = any(isinstance(layer, keras.layers.Flatten) for layer in model.layers)
    side = model.input.shape[1] if fixed else None
    twin = keras.models.clone_model(
        model, input_tensors=keras.Input((3, side, side), name="image"), clone_function=_channels_first
    )
    twin.set_weights(model.get_weights())
    return keras.Model(twin.inputs, twin.get_layer("logits").output, name=model.name)


def _channels_first(layer: keras.Layer) -> keras.Layer:
    config: dict[str, Any] = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        return FusedBatchNormalization.from_config({**config, "axis": 1})
    if "data_format" in config:
        config["data_format"] = "channels_first"
    return type(layer).from_config(config)
