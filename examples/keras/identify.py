"""Identify pictures with Keras on any backend: KERAS_BACKEND=jax python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [size, size, 3], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)


folder, *pictures = map(Path, sys.argv[1:])
model = keras.saving.load_model(folder / "model.keras", compile=False)
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
batch = np.stack([pixels(picture, card["input"]["size"]) for picture in pictures])
answer = model(batch, training=False)  # on OpenVINO `predict` may compute in bfloat16
# A model that says how familiar a picture is, too, answers with a list, the probabilities first.
for row in keras.ops.convert_to_numpy(answer[0] if isinstance(answer, list) else answer):
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
