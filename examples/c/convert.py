"""model.onnx as C, compiled with identify.c to a program that needs nothing else: python convert.py FOLDER."""

import subprocess
import sys
from pathlib import Path

import onnx

folder = Path(sys.argv[1])
graph = onnx.load(folder / "model.onnx").graph
shapes = [[side.dim_value for side in value.type.tensor_type.shape.dim] for value in (*graph.input, *graph.output)]
size, classes, places = shapes[0][3], shapes[1][1], shapes[3][3]
generate = [Path(sys.executable).with_name("emx-onnx-cgen"), "compile", "--input-dim", "batch=1"]
subprocess.run([*generate, folder / "model.onnx", folder / "model.c"], check=True)
defines = [f"-DSIZE={size}", f"-DCLASSES={classes}", f"-DPLACES={places}"]
sources = [Path(__file__).with_name("identify.c"), folder / "model.c"]
subprocess.run(["gcc", "-O3", "-march=native", *defines, *sources, "-lm", "-o", folder / "identify"], check=True)
