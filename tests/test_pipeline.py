"""The whole arrow through the command line: draw, train, export, identify."""

import json
import re
from pathlib import Path

from dataset.drawing.draw import draw_dataset
from tests.conftest import TINY, Run


def test_from_nothing_to_an_identified_picture(cli: Run, tmp_path: Path) -> None:
    draw_dataset(tmp_path / "pictures", per_class=12, size=48, seed=3)
    settings = [argument for setting in TINY for argument in ("--set", setting)]
    trained = cli("train", "pictures", "-r", "simple_cnn", "--device", "cpu", "--name", "mine", *settings)
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr == "", "quiet in a pipe"
    for text in (
        "pictures: 36 pictures of 3 classes",
        "precision",
        "(95 %: ",
        "same labels on",
    ):
        assert text in trained.stdout
    lines = trained.stdout.splitlines()
    assert ["grape", "10", "2"] in [line.split() for line in lines]
    assert any(re.fullmatch(r"validation, epoch [12] \(best validation accuracy\):", line) for line in lines)
    assert "training simple_cnn on the cpu in checkpoints/mine" in lines
    assert lines.index("finished: checkpoints/mine") < lines.index(
        "which flatters it a little: these pictures chose the epoch"
    )
    assert lines[-4:] == [
        "next:",
        "  python -m webbrowser checkpoints/mine/report.html",
        "  fruitcnn identify PHOTO --model checkpoints/mine",
        "  fruitcnn export checkpoints/mine --format page",
    ]

    again = cli("export", "checkpoints/mine", "--to", "elsewhere")
    assert again.returncode == 0 and "same labels on" in again.stdout, again.stderr
    default = cli("identify", "pictures/grape", "--format", "json")
    other = cli("identify", "pictures/grape", "--format", "json", "--model", "elsewhere")
    assert default.returncode == 0 and default.stdout == other.stdout, "the newest run is the default"
    assert len([json.loads(line) for line in default.stdout.splitlines()]) == 12
