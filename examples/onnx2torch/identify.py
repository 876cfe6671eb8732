"""Identify pictures with model.onnx as a torch module: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx2torch
import torch
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
model = onnx.load(folder / "model.onnx")
# onnx2torch stops at opset 17, where axes are attributes, and knows no `allowzero`.
constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
for node in model.graph.node:
    if node.op_type in ("ReduceMean", "ReduceL2"):
        node.attribute.append(onnx.helper.make_attribute("axes", constants[node.input.pop()].tolist()))
    elif node.op_type == "Reshape":
        del node.attribute[:]
model.opset_import[0].version = 17
module = onnx2torch.convert(model).eval()
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
batch = torch.from_numpy(np.stack([pixels(picture, card["input"]["size"]) for picture in pictures]))
with torch.inference_mode():
    probabilities, *_ = module(batch)
for row in probabilities:
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
