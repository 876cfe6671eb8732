"""Pictures, broken ones among them, and a model that answers in no time."""

import os
from pathlib import Path

import pytest

from fruitcnn.cluster.identify_folder import Work, identify_folder
from fruitcnn.identify.request import Request
from tests.tiny import write_picture, write_tiny_model

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (200, 180, 90)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers to pictures of one colour are known."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 pictures in two folders, each fifth of them black, which is unknown; two more are broken, one is no text."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(50):
        write_picture(folder / f"{'ab'[number % 2]}" / f"photo_{number}.png", COLOURS[number % 5])
    (folder / "a" / "broken.png").write_bytes(b"nothing")
    (folder / "empty.jpg").touch()
    write_picture(folder / os.fsdecode(b"\xff\xfe.png"), (255, 0, 0))
    return folder


def fill(folder: Path, *sources: object, model: Path, **work: object) -> int:
    """`fruitcnn identify SOURCES --model MODEL --output FOLDER/ --per-part 8`: its exit status."""
    options = {"per_part": 8, **work}
    return identify_folder([*map(str, sources)], f"{folder}/", Request(model=str(model)), Work(**options))  # type: ignore[arg-type]
