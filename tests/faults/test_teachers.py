"""`train.teacher` is a model from elsewhere: it is looked at as every other one is."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch

from fruitcnn import checkpoint
from fruitcnn.config import load_config
from fruitcnn.errors import ModelError
from fruitcnn.runs.needs import check_needs
from fruitcnn.training.teacher import Teacher
from tests.tiny import CARD, write_tiny_model


def test_a_teacher_whose_graph_and_card_disagree(tmp_path: Path) -> None:
    """The card beside the graph agrees with the data set; what answers is the graph, whose own card is looked at."""
    labels = ["red", "green"]
    two = dataclasses.replace(CARD, labels=tuple(labels))
    write_tiny_model(tmp_path / checkpoint.ONNX, two)
    (tmp_path / checkpoint.CARD).write_text(two.to_json())
    with pytest.raises(ModelError, match=r"train\.teacher: .*its graph and its card disagree"):
        Teacher(tmp_path, labels=labels, device=torch.device("cpu"))


@pytest.mark.parametrize("name", [checkpoint.ONNX, checkpoint.CARD])
def test_a_teacher_with_a_fifo_in_the_place_of_a_file(name: str, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / checkpoint.ONNX)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    labels = list(CARD.labels)
    if name == checkpoint.CARD:
        assert Teacher(tmp_path, labels=labels, device=torch.device("cpu")).size == CARD.size
        return
    with pytest.raises(ModelError, match=r"train\.teacher"):
        Teacher(tmp_path, labels=labels, device=torch.device("cpu"))


def test_a_teacher_or_a_start_is_found_by_its_name_or_told_before_anything_is_read(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere else: a run in ./checkpoints, or a model that comes with fruitcnn."""
    monkeypatch.chdir(tmp_path)
    Path("checkpoints/mine").mkdir(parents=True)
    write_tiny_model(tmp_path / "checkpoints/mine" / checkpoint.ONNX)
    assert Teacher("mine", labels=list(CARD.labels), device=torch.device("cpu")).size == CARD.size
    for key in ("train.teacher", "model.weights"):
        check_needs(load_config("quick", [f"{key}=mine"], data=drawn))
        with pytest.raises(ModelError, match=r"min: no such model; did you mean mine\?"):
            check_needs(load_config("quick", [f"{key}=min"], data=drawn))


def test_a_teacher_of_other_classes(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / checkpoint.ONNX)
    (tmp_path / checkpoint.CARD).write_text(json.dumps({}))
    with pytest.raises(ModelError, match=r"its classes \(red, green, blue\) are not those of the data set"):
        Teacher(tmp_path, labels=["blue", "green", "red"], device=torch.device("cpu"))
