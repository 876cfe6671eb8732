"""Identify pictures with TVM: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import tvm
from PIL import Image, ImageOps
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
size = card["input"]["size"]
module = from_onnx(onnx.load(folder / "model.onnx"), shape_dict={"image": [1, 3, size, size]})
machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
for picture in pictures:
    probabilities = machine["main"](tvm.runtime.tensor(np.ascontiguousarray(pixels(picture, size)[None])))[0]
    print(json.dumps(dict(zip(card["labels"], probabilities.numpy()[0].tolist()))))
