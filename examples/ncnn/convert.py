"""model.onnx as ncnn's pair of files, in float32: python convert.py FOLDER."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])
size = json.loads((folder / "card.json").read_text(encoding="utf-8"))["input"]["size"]
# The package imports torch; the program inside it doesn't need it.
pnnx = Path(importlib.util.find_spec("pnnx").origin).with_name("pnnx")
# Without fp16=0 the weights lose half their digits: 5e-3 of a probability.
subprocess.run([pnnx, "model.onnx", f"inputshape=[1,3,{size},{size}]f32", "fp16=0"], cwd=folder, check=True)
