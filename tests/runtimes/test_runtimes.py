"""Every program of examples/ gives the golden answers, in a process and an environment of its own."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from fruitcnn.checkpoint import SHIPPED
from fruitcnn.export.image_graph import image_graph
from tests.runtimes.matrix import EXAMPLES, Environment, Runtime, UnavailableError, load_matrix

GOLDEN = EXAMPLES / "golden"


@pytest.fixture(scope="session")
def golden() -> dict:
    return json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model in a folder of its own, with its image graph: converters may do as they like in there."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("model.onnx", "model.keras", "card.json"):
        shutil.copy(SHIPPED / name, folder)
    onnx.save(image_graph(onnx.load(folder / "model.onnx")), folder / "image.onnx")
    return folder


@pytest.fixture(scope="session")
def tensors(tmp_path_factory: pytest.TempPathFactory, golden: dict) -> list[Path]:
    """The golden tensors as pictures of exactly the network's size, which no resize changes."""
    folder = tmp_path_factory.mktemp("tensors")
    files = [folder / f"{index:02}.png" for index in range(len(golden["pictures"]))]
    for file, entry in zip(files, golden["pictures"], strict=True):
        pixels = np.fromfile(GOLDEN / entry["tensor"], np.uint8).reshape(golden["tensor"]["shape"])
        Image.fromarray(pixels).save(file)
    return files


def rows() -> list:
    return [
        pytest.param(
            row, id=row.name.replace(" ", "-").replace(",", ""), marks=[] if row.quick else pytest.mark.runtimes
        )
        for row in load_matrix()
    ]


def differences(found: list[dict[str, float]], golden: dict) -> np.ndarray:
    """The largest difference of a probability of each picture; fails where a label differs."""
    labels = golden["model"]["labels"]
    assert [list(row) for row in found] == [labels] * len(golden["pictures"])
    values = np.array([list(row.values()) for row in found])
    expected = np.array([entry["probabilities"] for entry in golden["pictures"]])
    assert (values.argmax(1) == expected.argmax(1)).all()
    return np.abs(values - expected).max(1)


@pytest.mark.parametrize("runtime", rows())
def test_a_runtime_gives_the_golden_answers(runtime: Runtime, model: Path, tensors: list[Path], golden: dict) -> None:
    assert runtime.lines <= 40
    try:
        environment = Environment(runtime)
    except UnavailableError as reason:
        pytest.skip(f"{runtime.name} can't be had here: {reason}")
    if runtime.convert:
        environment.run(runtime.convert, model)
    network = differences(environment.identify(model, tensors), golden)
    assert network.max() <= runtime.tolerance
    files = [GOLDEN / entry["file"] for entry in golden["pictures"]]
    pictures = differences(environment.identify(model, files), golden)
    assert pictures.max() <= runtime.pictures, dict(zip([file.name for file in files], pictures, strict=True))
