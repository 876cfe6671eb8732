"""Identify pictures with MNN: python identify.py FOLDER PICTURE..., after convert.py FOLDER."""

import json
import sys
from pathlib import Path

import MNN.expr
import MNN.nn
import numpy as np
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": 1},))
net = MNN.nn.load_module_from_file(
    str(folder / "model.mnn"), ["image"], ["probabilities"], runtime_manager=runtime, shape_mutable=True
)
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
batch = np.stack([pixels(picture, card["input"]["size"]) for picture in pictures])
image = MNN.expr.placeholder(batch.shape, MNN.expr.NCHW)
image.write(batch)
for row in net.forward(MNN.expr.convert(image, MNN.expr.NC4HW4)).read():
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
