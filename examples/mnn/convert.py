"""model.onnx as MNN's file: python convert.py FOLDER."""

import sys
from pathlib import Path

import _tools  # what `mnnconvert` calls after it has installed packages

folder = Path(sys.argv[1])
files = ["--modelFile", str(folder / "model.onnx"), "--MNNModel", str(folder / "model.mnn")]
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", *files])
