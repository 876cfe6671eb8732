"""Pools of pictures to label, as strangers leave them."""

import os
from pathlib import Path

import pytest

from fruitcnn.labelling.label_next import Request, label_next
from fruitcnn.labelling.listed import UNSURE
from tests.tiny import write_picture, write_tiny_model


def test_a_pool_to_label_with_broken_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted and named, and the good ones are listed all the same."""
    pool, model = tmp_path / "pool", write_tiny_model(tmp_path / "model.onnx")
    for step in range(4):
        write_picture(pool / f"{step}.png", (220, 200 - step, 90))
    (pool / "cut.png").write_bytes((pool / "1.png").read_bytes()[:45])
    (pool / "header.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (pool / "endless").symlink_to(pool / "endless")
    os.mkfifo(pool / "waiting.png")
    output = tmp_path / "next.csv"
    request = Request(model=str(model), count=9, output=output, page=tmp_path / "next.html")
    assert label_next([pool], request) == 3
    assert "4 could not be read, the first: " in capsys.readouterr().err
    assert output.read_text().count(f",,{UNSURE},") == 4
    assert (tmp_path / "next.html").read_text().count("data:image/jpeg") == 4
