"""Identify pictures with model.onnx in JAX, node by node: python identify.py FOLDER PICTURE..."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import onnx
from PIL import Image, ImageOps


def pixels(file, size):
    """The picture upright, over white, resized with Pillow's antialiased filter: float32 [3, size, size], 0..255."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.resize((size, image.height), Image.Resampling.BILINEAR)  # across, then down: Pillow 13 would choose
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)


OPERATIONS = {
    "Add": jax.numpy.add, "Sub": jax.numpy.subtract, "Mul": jax.numpy.multiply, "Div": jax.numpy.divide,
    "Conv": lambda x, kernel, bias, strides=(1, 1), pads=(0,) * 4, group=1, **_: bias[:, None, None]
        + jax.lax.conv_general_dilated(x, kernel, strides, [pads[::2], pads[1::2]], feature_group_count=group),
    "Gemm": lambda a, b, c=0, **_: a @ b.T + c, "Clip": lambda x, low=None, high=None: jax.numpy.clip(x, low, high),
    "ReduceMean": lambda x, axes, keepdims, **_: x.mean(tuple(axes), keepdims=bool(keepdims)),
    "ReduceL2": lambda x, axes, **_: jax.numpy.linalg.norm(x, axis=tuple(axes), keepdims=True), "Relu": jax.nn.relu,
    "Softmax": jax.nn.softmax, "LogSoftmax": jax.nn.log_softmax, "Reshape": lambda x, shape, **_: x.reshape(shape),
}  # fmt: skip
folder, *pictures = map(Path, sys.argv[1:])
graph = onnx.load(folder / "model.onnx").graph
card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
values["image"] = jax.numpy.stack([pixels(picture, card["input"]["size"]) for picture in pictures])
for node in graph.node:
    settings = {setting.name: onnx.helper.get_attribute_value(setting) for setting in node.attribute}
    values[node.output[0]] = OPERATIONS[node.op_type](*map(values.get, node.input), **settings)
for row in values["probabilities"].tolist():
    print(json.dumps(dict(zip(card["labels"], row))))
