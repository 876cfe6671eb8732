"""Identify pictures with onnx's reference evaluator, in plain numpy: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
from onnx.reference import ReferenceEvaluator
from PIL import Image, ImageOps


def photo(file):
    """The picture upright, over white where it is transparent: uint8 [height, width, 3]."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


folder, *pictures = map(Path, sys.argv[1:])
evaluator = ReferenceEvaluator(str(folder / "image.onnx"))
labels = json.loads((folder / "card.json").read_text(encoding="utf-8"))["labels"]
for picture in pictures:
    (probabilities,) = evaluator.run(["probabilities"], {"photo": photo(picture)})
    print(json.dumps(dict(zip(labels, probabilities[0].tolist()))))
