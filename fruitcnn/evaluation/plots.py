"""curves.png and confusion.png."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fruitcnn.files import written_whole

_TRAINING, _VALIDATION = "#1f77b4", "#d62728"


def plot_curves(rows: Sequence[Mapping[str, float]], path: Path, *, best_epoch: int) -> None:
    """Loss and accuracy of training and validation by epoch, with the epoch that was kept."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, colour in (("train", _TRAINING), ("validation", _VALIDATION)):
            values = [row[f"{split}_{what}"] for row in rows]
            label = "training (augmented pictures)" if split == "train" else split
            axes.plot(epochs, values, color=colour, label=label, marker="." if len(rows) < 20 else "")
        axes.axvline(best_epoch, color="grey", linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set_title(what.capitalize())
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _save(figure, path)


def plot_confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], path: Path, *, title: str) -> None:
    """The confusion matrix: counts in the cells, colour by share of the true class."""
    counts = np.array(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.5 + 0.8 * len(labels)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, format=PercentFormatter(1.0), label="share of the true class", shrink=0.8)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=30 if len(labels) > 3 else 0)
    axes.set_yticks(ticks, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    for row in ticks:
        for column in ticks:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # A canvas of its own instead of pyplot: no display, no global state.
    FigureCanvasAgg(figure)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120)
