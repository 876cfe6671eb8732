"""Identify pictures with LiteRT: python identify.py FOLDER PICTURE..., after convert.py FOLDER."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [size, size, 3], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)


folder, *pictures = map(Path, sys.argv[1:])
network = Interpreter(str(folder / "model.tflite")).get_signature_runner()
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
batch = np.stack([pixels(picture, card["input"]["size"]) for picture in pictures])
for row in network(image=batch)["output_0"]:
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
