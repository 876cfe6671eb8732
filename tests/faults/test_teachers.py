"""`train.teacher` is a model from elsewhere: it is looked at as every other one is."""

import dataclasses
import json
import os
from pathlib import Path

import pytest
import torch

from fruitcnn import checkpoint
from fruitcnn.errors import ModelError
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


def test_a_teacher_of_other_classes(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / checkpoint.ONNX)
    (tmp_path / checkpoint.CARD).write_text(json.dumps({}))
    with pytest.raises(ModelError, match=r"its classes \(red, green, blue\) are not those of the data set"):
        Teacher(tmp_path, labels=["blue", "green", "red"], device=torch.device("cpu"))
