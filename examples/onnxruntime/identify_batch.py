"""Identify pictures with onnxruntime, all in one batch of model.onnx: python identify_batch.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait use no processor
session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["fruitcnn.card"])
batch = np.stack([pixels(picture, card["input"]["size"]) for picture in pictures])
for row in session.run(["probabilities"], {"image": batch})[0]:
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
