"""Identify pictures with onnxruntime and nothing to get wrong: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def photo(file):
    """The picture upright, over white where it is transparent: uint8 [height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


folder, *pictures = map(Path, sys.argv[1:])
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # threads that wait use no processor
session = onnxruntime.InferenceSession(folder / "image.onnx", options, providers=["CPUExecutionProvider"])
labels = json.loads(session.get_modelmeta().custom_metadata_map["fruitcnn.card"])["labels"]
for picture in pictures:
    (probabilities,) = session.run(["probabilities"], {"photo": photo(picture)})
    print(json.dumps(dict(zip(labels, probabilities[0].tolist()))))
