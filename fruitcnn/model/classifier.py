"""The end of a network: from feature maps to logits."""

import keras
from keras import layers


def classifier(maps: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Feature maps [N, h, w, D] to logits [N, C]: global average pooling, dropout, Dense."""
    x = layers.GlobalAveragePooling2D(name="pool")(maps)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)
