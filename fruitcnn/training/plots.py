"""curves.png and confusion.png."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from fruitcnn.outputs import written_whole

# Up to here a confusion matrix has numbers in its cells; of larger ones the most confused pairs are listed.
_FEW, _PAIRS = 20, 30
_LONGEST = 24
_TRAINING, _VALIDATION = "#1f77b4", "#d62728"


def plot_curves(rows: Sequence[Mapping[str, float]], path: Path, *, best_epoch: int) -> None:
    """Loss and accuracy of training and validation by epoch, with the epoch that was kept."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, colour in (("train", _TRAINING), ("validation", _VALIDATION)):
            values = [row[f"{split}_{what}"] for row in rows]
            label = "training (augmented, mixed pictures)" if split == "train" else split
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
    """The confusion matrix, colour by share of the true class; the same size of picture for 20 classes or 1,000.

    Up to 20 classes have their names and counts; of more the most confused pairs are listed. Labels that no installed
    font can draw are numbers, in the order of the model's labels.
    """
    counts = np.array(matrix)
    few = len(labels) <= _FEW
    side = 2.5 + 0.4 * max(len(labels), 4) if few else 8.0
    figure = Figure(figsize=(side + (1.2 if few else 5.2), side), layout="constrained")
    axes = figure.subplots()
    font = _font_for("".join(labels))
    names = [str(number) for number in range(1, len(labels) + 1)] if font is None else [_cut(name) for name in labels]
    axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(axes.images[0], ax=axes, format=PercentFormatter(1.0), shrink=0.8)
    bar.set_label("share of the true class")
    note = " (numbers: order of the labels)" if font is None or not few else ""
    axes.set_xlabel(f"predicted{note}")
    axes.set_ylabel(f"true{note}")
    axes.set_title(title)
    if few:
        _name_cells(axes, counts, names, font)
    else:
        axes.set_xticks(*_numbered(len(labels)))
        axes.set_yticks(*_numbered(len(labels)))
        _list_pairs(figure, counts, names, font)
    _save(figure, path)


def _name_cells(axes: Axes, counts: NDArray[np.int64], names: list[str], font: str | None) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ticks = range(len(names))
    flat = max(map(len, names)) <= 10 and len(names) <= 4
    style: dict[str, Any] = {"fontfamily": font} if font else {}
    axes.set_xticks(ticks, names, rotation=0 if flat else 45, ha="center" if flat else "right", **style)
    axes.set_yticks(ticks, names, **style)
    size = 10 if len(names) <= 10 else 7
    for row in ticks:
        for column in ticks:
            if counts[row, column] or len(names) <= 10:
                colour = "white" if shares[row, column] > 0.5 else "black"
                words = f"{counts[row, column]:,}"
                axes.text(column, row, words, ha="center", va="center", color=colour, fontsize=size)


def _list_pairs(figure: Figure, counts: NDArray[np.int64], names: list[str], font: str | None) -> None:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    lines = ["most confused (true: predicted)", ""]
    for row, column in zip(*np.unravel_index(worst, wrong.shape), strict=True):
        if wrong[row, column]:
            lines.append(f"{wrong[row, column]:>5,}  {names[row]}: {names[column]}")
    # At the right, in the room that the wider figure has.
    panel = figure.add_axes((0.68, 0.05, 0.31, 0.88))
    panel.axis("off")
    style: dict[str, Any] = {"fontfamily": font} if font else {}
    panel.text(0, 1, "\n".join(lines), va="top", fontsize=9, **style)
    cast(ConstrainedLayoutEngine, figure.get_layout_engine()).set(rect=(0, 0, 0.67, 1))


def _numbered(count: int) -> tuple[list[int], list[str]]:
    """About ten places and their numbers, counted from 1."""
    step = max(1, -(-count // 10))
    places = list(range(0, count, step))
    return places, [str(place + 1) for place in places]


def _cut(label: str) -> str:
    # Labels that begin alike tend to end differently.
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST // 2]}…{label[-(_LONGEST // 2 - 1) :]}"


def _font_for(text: str) -> str | None:
    """A font that has every character: matplotlib's own, else one of the system's; None where there is none."""
    wanted = {ord(char) for char in text + "…"}
    own = font_manager.findfont("DejaVu Sans")
    fonts = font_manager.fontManager.ttflist
    others = (
        font.fname for font in fonts if font.style == "normal" and font.weight == 400 and "Last Resort" not in font.name
    )
    for file in (own, *others):
        face = font_manager.get_font(file)
        if wanted <= face.get_charmap().keys():
            return face.family_name
    return None


def _save(figure: Figure, path: Path) -> None:
    # A canvas of its own instead of pyplot: no display, no global state.
    FigureCanvasAgg(figure)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
