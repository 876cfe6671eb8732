"""Identify pictures with a program in plain C, for which Pillow decodes: python identify.py FOLDER PICTURE..."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


folder, *pictures = map(Path, sys.argv[1:])
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
batch = b"".join(pixels(picture, card["input"]["size"]).tobytes() for picture in pictures)
done = subprocess.run([folder / "identify", folder / "model.bin"], input=batch, stdout=subprocess.PIPE, check=True)
for line in done.stdout.decode().splitlines():
    print(json.dumps(dict(zip(card["labels"], map(float, line.split())))))
