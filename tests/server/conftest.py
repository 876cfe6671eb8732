"""One server of a tiny model for the tests that leave it as it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.served import Served, serving
from tests.tiny import write_tiny_model


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "colours"
    folder.mkdir()
    write_tiny_model(folder / "model.onnx")
    return folder


@pytest.fixture(scope="package")
def served(model: Path) -> Iterator[Served]:
    with serving(model, folder=model.parent) as server:
        yield server
