"""The network of the original system, for comparison."""

import keras
from keras import layers


def simple_cnn(pixels: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """The original system's network: six 3x3 convolutions, three poolings, two Dense layers with L2 0.01."""

    def kernel(layer: type[layers.Layer], units: int, *args: int, name: str, **kwargs: object) -> layers.Layer:
        # A fresh initialiser each: Keras seeds one when it is made, so that a shared one would repeat its numbers.
        initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        return layer(units, *args, kernel_initializer=initializer, name=name, **kwargs)

    x = layers.Rescaling(1 / 255, name="rescaling")(pixels)
    for stage, (filters, convolutions) in enumerate([(32, 1), (64, 2), (128, 3)], start=1):
        for number in range(1, convolutions + 1):
            name = f"stage{stage}_conv{number}"
            x = kernel(layers.Conv2D, filters, 3, padding="same", name=name)(x)
            x = layers.ReLU(name=f"stage{stage}_relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = kernel(layers.Dense, 512, kernel_regularizer=keras.regularizers.L2(0.01), name="hidden")(x)
    x = layers.ReLU(name="hidden_relu")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return kernel(layers.Dense, classes, kernel_regularizer=keras.regularizers.L2(0.01), name="logits")(x)
