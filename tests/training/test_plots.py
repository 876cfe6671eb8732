"""curves.png and confusion.png: pictures of a bounded size, whatever the labels."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fruitcnn.training.plots import plot_confusion, plot_curves


def test_plots_are_pictures(tmp_path: Path) -> None:
    rows = [
        {"epoch": e, **dict.fromkeys(("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"), 1 / e)}
        for e in (1, 2, 3)
    ]
    plot_curves(rows, tmp_path / "curves.png", best_epoch=2)
    plot_confusion([[3, 0], [1, 2]], ["grape", "b"], tmp_path / "confusion.png", title="x")
    for name in ("curves.png", "confusion.png"):
        pixels = np.asarray(Image.open(tmp_path / name))
        assert min(pixels.shape[:2]) > 200 and pixels.std() > 10


def test_curves_begin_at_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = list[Figure]()
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    columns = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    rows = [{"epoch": epoch, **dict.fromkeys(columns, 1 / epoch)} for epoch in (1, 2, 3)]
    plot_curves(rows, tmp_path / "curves.png", best_epoch=2)
    (figure,) = kept
    for axes in figure.axes:
        *curves, best = [list(line.get_xdata()) for line in axes.get_lines()]
        assert curves == [[1, 2, 3]] * 2 and best == [2, 2]


@pytest.mark.parametrize("classes", [2, 20, 50, 1000])
def test_confusion_of_any_number_of_classes_is_a_picture_of_bounded_size(classes: int, tmp_path: Path) -> None:
    labels = [f"a rather long label of class {number}" for number in range(classes)]
    matrix = np.eye(classes, dtype=int) * 7
    matrix[1, 0] = 3
    plot_confusion(matrix.tolist(), labels, tmp_path / "c.png", title="x")
    with Image.open(tmp_path / "c.png") as image:
        width, height = image.size
    assert 200 < height <= width < 2200 and height < 1700


def test_labels_that_no_font_can_draw_are_numbers(tmp_path: Path) -> None:
    # A private character, which no font has; a warning of a missing glyph would be an error here.
    plot_confusion([[3, 0], [1, 2]], ["\U0010f123", "b"], tmp_path / "c.png", title="x")
    plot_confusion([[3, 0], [1, 2]], ["1", "2"], tmp_path / "numbers.png", title="x")
    drawn, numbers = (np.asarray(Image.open(tmp_path / name).convert("L")) for name in ("c.png", "numbers.png"))
    assert drawn.shape != numbers.shape or (drawn != numbers).any(), "it says that they are numbers"
