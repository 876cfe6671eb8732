"""Errors name what they are about, and what to do."""

import ast
import collections

import pytest

from fruitcnn import errors
from fruitcnn.errors import DatasetError, FruitcnnError, system_error
from tests.conftest import REPOSITORY

KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, FruitcnnError)}
# Where nothing has a name: an array, ./checkpoints, no argument. Those of pictures get the picture's first.
OF_PICTURES = {
    "download.py": 17,
    "tiff.py": 7,
    "source.py": 6,
    "video.py": 3,
    "picture.py": 1,
    "colour.py": 1,
    "remote_files.py": 4,
}
NAMELESS = {**OF_PICTURES, "identify_command.py": 1, "models.py": 1, "needs.py": 1, "split.py": 1}


def test_every_error_names_a_file_a_key_or_an_argument() -> None:
    nameless: collections.Counter[str] = collections.Counter()
    for file in (REPOSITORY / "fruitcnn").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                nameless[file.name] += "value" not in {keyword.arg for keyword in node.keywords}
    assert len(nameless) > 20 and +nameless == NAMELESS


def test_an_error_reads_as_what_then_why_then_what_to_do() -> None:
    assert str(DatasetError("is empty", value="a.csv", remedy="fill it")) == "a.csv: is empty; fill it"
    assert str(DatasetError("is empty", remedy="fill it")) == "is empty; fill it"
    with pytest.raises(TypeError, match="remedy"):
        DatasetError("is empty", value="a.csv")  # type: ignore[call-arg]
    strange = system_error(OSError(71, "Protocol error"), DatasetError, value="a.csv")
    assert str(strange) == "a.csv: Protocol error; check the path and the disk"
