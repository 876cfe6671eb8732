"""What a caller of a training may want besides: each epoch's row, an early end, no exports."""

import csv
from pathlib import Path

import pytest

import fruitcnn


class EnoughError(Exception):
    """The caller has seen enough."""


def test_a_caller_sees_each_epoch_and_may_end_the_training(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"recipe": "quick", "name": "mine", "device": "cpu", "export": False}
    small = {"size": 32, "epochs": 3, "batch_size": 8}
    seen: list[dict[str, float]] = []

    def watch(row: dict[str, float]) -> None:
        seen.append(row)
        if len(seen) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        fruitcnn.train(drawn, **settings, **small, on_epoch=watch)
    assert [row["epoch"] for row in seen] == [1, 2]
    run = fruitcnn.train(drawn, **settings, **small, on_epoch=watch, resume=True)
    assert [row["epoch"] for row in seen] == [1, 2, 3], "an epoch that is over is not told again"
    with (run.folder / "metrics.csv").open(newline="") as file:
        assert [float(row["validation_loss"]) for row in csv.DictReader(file)] == [
            row["validation_loss"] for row in seen
        ]
    assert run.metrics["validation"]["images"] > 0
    left = {path.name for path in run.folder.iterdir()}
    assert left == {"config.yaml", "split.csv", "metrics.csv", "metrics.json", "predictions.csv", "last.ckpt", "logs"}
