"""Identify pictures with ncnn: python identify.py FOLDER PICTURE..., after convert.py FOLDER."""

import json
import sys
from pathlib import Path

import ncnn
import numpy as np
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
net = ncnn.Net()
for setting in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
    setattr(net.opt, setting, False)
assert net.load_param(str(folder / "model.ncnn.param")) == net.load_model(str(folder / "model.ncnn.bin")) == 0
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
for picture in pictures:
    # In a variable: a Mat only borrows the memory.
    image = np.ascontiguousarray(pixels(picture, card["input"]["size"]))
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(image).clone())
    probabilities = np.array(extractor.extract("out0")[1])
    print(json.dumps(dict(zip(card["labels"], probabilities.tolist()))))
