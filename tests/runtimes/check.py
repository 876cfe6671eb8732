"""A runtime's answers beside the golden ones."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from fruitcnn.checkpoint import SHIPPED
from fruitcnn.export.image_graph import image_graph
from tests.runtimes.environment import Environment
from tests.runtimes.matrix import EXAMPLES, count_lines

GOLDEN = EXAMPLES / "golden"
CONTENT: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
LINES = 40


@dataclasses.dataclass(frozen=True)
class Result:
    """The largest difference of a probability where the network gets the golden tensors, and the golden pictures."""

    network: float
    pictures: float


def model_folder(folder: Path) -> Path:
    """The shipped model with its image graph in a folder of its own, where a converter may do as it likes."""
    assert SHIPPED
    folder.mkdir(parents=True)
    for name in ("model.onnx", "model.keras", "card.json"):
        shutil.copy(SHIPPED / name, folder)
    onnx.save(image_graph(onnx.load(folder / "model.onnx")), folder / "image.onnx")
    return folder


def tensor_pictures(folder: Path) -> list[Path]:
    """The golden tensors as pictures of exactly the network's size, which no resize changes."""
    files = [folder / f"{index:02}.png" for index in range(len(CONTENT["pictures"]))]
    for file, entry in zip(files, CONTENT["pictures"], strict=True):
        pixels = np.fromfile(GOLDEN / entry["tensor"], np.uint8).reshape(CONTENT["tensor"]["shape"])
        Image.fromarray(pixels).save(file)
    return files


def check(environment: Environment, model: Path, tensors: list[Path]) -> Result:
    """Run a runtime's program on all golden tensors and pictures.

    Raises AssertionError where it fails, differs by more than its tolerances, takes another label, is too long or has
    changed a model.
    """
    runtime = environment.runtime
    assert count_lines(runtime.program) <= LINES, f"{runtime.program} has {count_lines(runtime.program)} lines"
    if runtime.convert:
        environment.run(runtime.convert, model)
    files = [GOLDEN / entry["file"] for entry in CONTENT["pictures"]]
    found = environment.identify(model, [*tensors, *files])
    network, pictures = _differences(found[: len(tensors)]), _differences(found[len(tensors) :])
    assert SHIPPED
    for folder in (SHIPPED, model):
        digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
        assert digest == CONTENT["model"]["sha256"], f"{folder}: the model has been changed"
    result = Result(float(network.max()), float(pictures.max()))
    assert result.network <= runtime.tolerance, result
    assert result.pictures <= runtime.pictures, dict(zip([file.name for file in files], pictures, strict=True))
    return result


def _differences(found: list[dict[str, float]]) -> np.ndarray:
    """The largest difference of a probability of each picture; an AssertionError where a label differs."""
    assert len(found) == len(CONTENT["pictures"]), f"{len(found)} answers to {len(CONTENT['pictures'])} pictures"
    assert {tuple(row) for row in found} == {tuple(CONTENT["model"]["labels"])}, found[0]
    values = np.array([list(row.values()) for row in found])
    expected = np.array([entry["probabilities"] for entry in CONTENT["pictures"]])
    wrong = values.argmax(1) != expected.argmax(1)
    assert not wrong.any(), f"another label: {values[wrong]} for {expected[wrong]}"
    differences: np.ndarray = np.abs(values - expected).max(1)
    return differences
