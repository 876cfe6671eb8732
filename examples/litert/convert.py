"""model.keras as LiteRT's file, written by Keras on TensorFlow: python convert.py FOLDER."""

import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras

folder = Path(sys.argv[1])
model = keras.saving.load_model(folder / "model.keras", compile=False)
model.export(folder / "model.tflite", format="litert")
