"""Identify pictures with OpenVINO: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import openvino
from PIL import Image, ImageOps


def photo(file):
    """The picture upright, over white where it is transparent: uint8 [height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


folder, *pictures = map(Path, sys.argv[1:])
# Without the hint OpenVINO may compute in bfloat16 where the processor can.
model = openvino.compile_model(folder / "image.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
labels = json.loads((folder / "card.json").read_text(encoding="utf-8"))["labels"]
for picture in pictures:
    probabilities = model({"photo": photo(picture)})["probabilities"]
    print(json.dumps(dict(zip(labels, probabilities[0].tolist()))))
