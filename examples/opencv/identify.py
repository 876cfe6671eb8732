"""Identify pictures with OpenCV 5: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def photo(file):
    """The picture upright (OpenCV sees to that), over white where it is transparent: uint8 RGB [height, width, 3]."""
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 255
        return np.rint(image[..., 2::-1] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(cv2.imread(str(file), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


folder, *pictures = map(Path, sys.argv[1:])
net = cv2.dnn.readNetFromONNX(str(folder / "image.onnx"))
labels = json.loads((folder / "card.json").read_text(encoding="utf-8"))["labels"]
for picture in pictures:
    net.setInput(photo(picture), "photo")
    print(json.dumps(dict(zip(labels, net.forward("probabilities")[0].tolist()))))
