"""Small legal Keras models from pixels to logits, each with something in it that an interpreter could get wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fruitcnn.model import build_model, keras

CLASSES = 3
layers = keras.layers
Tensor = keras.KerasTensor


def squeeze_excite(x: Tensor) -> Tensor:
    s = layers.GlobalAveragePooling2D()(x)
    s = layers.Reshape((1, 1, 8))(s)
    s = layers.Conv2D(2, 1, activation="relu")(s)
    s = layers.Conv2D(8, 1, activation="hard_sigmoid")(s)
    return layers.Multiply()([x, s])


def used_twice(x: Tensor) -> Tensor:
    shared = layers.Conv2D(8, 3, padding="same")
    return layers.Add()([layers.BatchNormalization()(shared(x)), shared(x)])


def nested(x: Tensor) -> Tensor:
    inner = keras.Input(x.shape[1:])
    return keras.Model(inner, layers.Conv2D(8, 3, activation="relu")(inner))(x)


def pooled(x: Tensor) -> Tensor:
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x - 0.7)
    return layers.AveragePooling2D(3, strides=2, padding="same")(x)


# From 8 feature maps (odd in height and width) to feature maps.
BODIES: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": layers.ReLU(),
    "activation": lambda x: layers.Conv2D(8, 3, activation="silu")(x),
    "relu6": lambda x: layers.ReLU(max_value=6.0)(x * 9.0),
    "relu_top_after_norm": lambda x: layers.ReLU(max_value=0.5)(layers.BatchNormalization()(x)),
    "relu_slope_after_norm": lambda x: layers.ReLU(negative_slope=0.3)(layers.BatchNormalization()(x)),
    "relu_slope_and_top": lambda x: layers.ReLU(max_value=0.5, negative_slope=0.3)(x),
    "relu_threshold": lambda x: layers.ReLU(threshold=0.5)(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(x),
    "separable": lambda x: layers.SeparableConv2D(6, 3, strides=2, padding="same", depth_multiplier=2)(x),
    "swish": lambda x: layers.Activation("swish")(x),
    "hard_swish": lambda x: layers.Activation("hard_swish")(x),
    "gelu": lambda x: layers.Activation("gelu")(x),
    "leaky_relu": lambda x: layers.Activation("leaky_relu")(x),
    "tanh": lambda x: layers.Activation("tanh")(x),
    "squeeze_excite": squeeze_excite,
    "zero_padding": lambda x: layers.Conv2D(8, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (2, 3)))(x)),
    "dilation": lambda x: layers.Conv2D(8, 3, padding="same", dilation_rate=(1, 2))(x),
    "even_kernel": lambda x: layers.Conv2D(8, (4, 2), strides=2, padding="same")(x),
    "groups": lambda x: layers.Conv2D(8, 3, groups=2)(x),
    "concatenation": lambda x: layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(x)]),
    "concatenation_of_rows": lambda x: layers.Concatenate(axis=1)([x, x * 2.0]),
    "concatenation_of_columns": lambda x: layers.Conv2D(4, 3)(layers.Concatenate(axis=2)([x, layers.ReLU()(x)])),
    "layer_norm": lambda x: layers.LayerNormalization()(x),
    "batch_norm_without_scale": lambda x: layers.BatchNormalization(scale=False)(x),
    "batch_norm_without_centre": lambda x: layers.BatchNormalization(center=False, epsilon=0.1, momentum=0.7)(x),
    "batch_norm_of_rows": lambda x: layers.BatchNormalization(axis=1)(x),
    "used_twice": used_twice,
    "same_pooling": pooled,
    "nested": nested,
    "up_sampling": lambda x: layers.UpSampling2D(2, name="larger")(x),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, strides=2)(x),
}

# From feature maps to logits.
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "flatten_dropout_dense": lambda x: layers.Dense(CLASSES)(layers.Dropout(0.3)(layers.Flatten()(x))),
    "flatten_activated_dense": lambda x: layers.Dense(CLASSES)(layers.Dense(5, activation="tanh")(layers.Flatten()(x))),
    "flatten_tanh_dense": lambda x: layers.Dense(CLASSES)(layers.Activation("tanh")(layers.Flatten()(x))),
    "flatten_norm_dense": lambda x: layers.Dense(CLASSES)(layers.BatchNormalization()(layers.Flatten()(x))),
    "dense_without_bias": lambda x: layers.Dense(CLASSES, use_bias=False)(layers.GlobalAveragePooling2D()(x)),
    "dense_before_pooling": lambda x: layers.GlobalAveragePooling2D()(layers.Dense(CLASSES)(x)),
    "l2": lambda x: layers.Dense(CLASSES, kernel_regularizer="l2")(layers.GlobalMaxPooling2D()(x)),
    "softmax_gate": lambda x: layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(layers.Softmax()(x))),
    "flatten_only": lambda x: layers.Flatten()(layers.Conv2D(1, 3, padding="same")(x)[:, :1, :CLASSES]),
}

APPLICATIONS = ("EfficientNetV2B0", "MobileNetV3Small", "ConvNeXtTiny")
FOREIGN = (*BODIES, *HEADS, *APPLICATIONS)
NETWORKS = ("simple_cnn", "fruit_net", *FOREIGN)
# What Keras runs itself: layers, or settings of them, that have no meaning in our own table.
KERAS_ONLY = {
    *("relu_threshold", "concatenation_of_rows", "batch_norm_of_rows", "up_sampling", "transposed"),
    *("flatten_only", "relu6", "same_pooling", "ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV3Small"),
}


def build(name: str, *, dropout: float = 0.3, sides: tuple[int, int] = (11, 14)) -> keras.Model:
    """A network of NETWORKS with seeded weights, batch statistics too; sides: height and width of the small ones."""
    keras.utils.set_random_seed(0)
    if name in ("simple_cnn", "fruit_net"):
        model = build_model(name, classes=CLASSES, size=32, dropout=dropout)
    elif name in APPLICATIONS:
        make = getattr(keras.applications, name)
        model = make(weights=None, classes=CLASSES, input_shape=(32, 32, 3), classifier_activation=None)
    else:
        image = keras.Input((*sides, 3), name="image")
        x = layers.Conv2D(8, 3, padding="same")(layers.Rescaling(1 / 127.5, offset=-1.0)(image))
        x = BODIES.get(name, BODIES["plain"])(x)
        head: Any = HEADS.get(name, HEADS["l2" if name == "l2" else "dense_without_bias"])
        model = keras.Model(image, head(x))
    if dropout == 0.0:
        for layer in model.layers:
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.0
    generator = np.random.default_rng(0)
    if name == "simple_cnn":
        # Its own initial weights are so small that all logits would be alike.
        model.set_weights([value * 3 for value in model.get_weights()])
    if name == "MobileNetV3Small":
        # So are its kernels.
        model.set_weights([value * 2.5 if value.ndim > 1 else value for value in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, value.shape) for value in layer.get_weights()])
    return model


# --- what `model.architecture: tests.networks:...` may name: called with classes and size


def small(classes: int, size: int) -> keras.Model:
    """One that our own table understands but for its up-sampling."""
    return build("up_sampling", sides=(size, size))


def subclassed(classes: int, size: int) -> object:
    """No functional model."""
    return object()


def of_other_size(classes: int, size: int) -> keras.Model:
    """Of a size of its own."""
    return build("plain", sides=(size + 1, size))


def constrained(classes: int, size: int) -> keras.Model:
    """With a constraint."""
    image = keras.Input((size, size, 3))
    end = layers.Dense(classes, kernel_constraint="max_norm")
    return keras.Model(image, end(layers.GlobalAveragePooling2D()(image)))


def saturated(classes: int, size: int) -> keras.Model:
    """Ending in probabilities."""
    image = keras.Input((size, size, 3))
    return keras.Model(image, layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(image)))


def failing(classes: int, size: int) -> keras.Model:
    """Raising an error of its own."""
    raise ZeroDivisionError("no such number")


# --- what a row of `fruitcnn.architectures` may name


def pooled_colours(pixels: Tensor, classes: int, dropout: float, *, filters: int) -> Tensor:
    """One convolution, pooled."""
    x = layers.Conv2D(filters, 3, activation="relu", name="colours")(pixels)
    x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="pool")(x))
    return layers.Dense(classes, name="logits")(x)


def mean_colour(classes: int, size: int) -> keras.Model:
    """What is pooled are the pixels themselves."""
    pixels = keras.Input((size, size, 3))
    return keras.Model(pixels, layers.Dense(classes)(layers.GlobalAveragePooling2D()(pixels)))


def pooled_inside(classes: int, size: int) -> keras.Model:
    """A network in a network, whose pooling is within the inner one."""
    pixels, inner = keras.Input((size, size, 3)), keras.Input((size, size, 3))
    maps = layers.Conv2D(8, 3, activation="relu", name="inner_maps")(inner)
    base = keras.Model(inner, layers.GlobalAveragePooling2D(name="inner_pool")(maps), name="base")
    return keras.Model(pixels, layers.Dense(classes, name="outer_logits")(base(pixels)))
