"""Identify pictures with OpenCV 4, whose dnn takes no picture of any size: python identify_4.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
net = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
net.setInput(np.stack([pixels(picture, card["input"]["size"]) for picture in pictures]), "image")
for row in net.forward("probabilities"):
    print(json.dumps(dict(zip(card["labels"], row.tolist()))))
