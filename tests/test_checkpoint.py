"""Files appear whole or not at all; the right model is found."""

import os
from pathlib import Path

import pytest

from fruitcnn import checkpoint
from fruitcnn.errors import ModelError
from fruitcnn.outputs import write_text, written_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half of the n")
        assert path.read_text() == "old"
        raise RuntimeError
    assert path.read_text() == "old"
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["card.json"] and path.read_text() == "new"


def test_find_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint.find_model() == checkpoint.SHIPPED / "model.onnx"
    for age, name in enumerate(["newest", "middle", "oldest"]):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "model.onnx").touch()
        os.utime(folder / "model.onnx", (10_000 - age, 10_000 - age))
    (tmp_path / "checkpoints" / "running").mkdir()

    assert checkpoint.find_model() == Path("checkpoints/newest/model.onnx")
    assert checkpoint.find_model("checkpoints/oldest") == Path("checkpoints/oldest/model.onnx")
    assert checkpoint.find_model("checkpoints/oldest/model.onnx") == Path("checkpoints/oldest/model.onnx")
    with pytest.raises(ModelError, match=r"no model\.onnx in this folder"):
        checkpoint.find_model("checkpoints/running")
    with pytest.raises(ModelError, match="no such model"):
        checkpoint.find_model("nowhere")
