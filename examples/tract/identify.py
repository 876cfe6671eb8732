"""Identify pictures with tract: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import tract
from PIL import Image, ImageOps


def photo(file):
    """The picture upright, over white where it is transparent: uint8 [height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


folder, *pictures = map(Path, sys.argv[1:])
model = tract.onnx().load(str(folder / "image.onnx")).into_model().into_runnable()
labels = json.loads((folder / "card.json").read_text(encoding="utf-8"))["labels"]
for picture in pictures:
    probabilities = model.run([photo(picture)])[0].to_numpy()
    print(json.dumps(dict(zip(labels, probabilities[0].tolist()))))
