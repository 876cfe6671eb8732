"""Charts as inline SVG; colours and fonts come from the page's style sheet."""

from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from fruitcnn.arrays import FloatArray, IntArray
from fruitcnn.calibration.intervals import wilson_interval

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 320, 60, 44, 12, 24
_BINS = 10


def reliability_diagram(probabilities: FloatArray, targets: IntArray) -> Markup:
    """Share of right answers by confidence, in ten bins, with 95 % intervals; on the diagonal a model is calibrated."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    index = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    marks = [f'<path class="ideal" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>']
    for number in sorted(set(index.tolist())):
        inside = index == number
        count, share = int(inside.sum()), float(right[inside].mean())
        low, high = wilson_interval(int(right[inside].sum()), count)
        at = _x(float(confidence[inside].mean()))
        marks.append(
            f'<g><title>confidence {number / _BINS:.0%} to {(number + 1) / _BINS:.0%}: {share:.1%} of {count} right'
            f'</title><path class="whisker" d="M{at} {_y(low)}V{_y(high)}"/>'
            f'<circle class="dot" cx="{at}" cy="{_y(share)}" r="{3 + 7 * (count / len(targets)) ** 0.5:.1f}"/></g>'
        )  # fmt: skip
    return _chart("Reliability: share of right answers by confidence", "confidence", "right answers", marks)


def risk_coverage_chart(curves: Sequence[tuple[str, tuple[FloatArray, FloatArray]]]) -> Markup:
    """Wrong answers among the pictures that are accepted, by how many are: a named curve (coverage, risk) each."""
    highest = max(float(risk.max()) for _, (_, risk) in curves)
    top = next(limit for limit in (0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 1.0) if highest <= limit)
    marks = []
    for number, (name, (coverage, risk)) in enumerate(curves):
        # A step of a pixel is all that can be seen.
        keep = np.unique(np.linspace(0, len(coverage) - 1, _WIDTH).astype(int))
        line = " ".join(f"{_x(c)},{_y(r / top)}" for c, r in zip(coverage[keep], risk[keep], strict=True))
        marks.append(f'<polyline class="curve curve{number}" points="{line}"><title>{name}</title></polyline>')
        if len(curves) > 1:
            y = _TOP + 16 + 18 * number
            marks.append(f'<path class="curve curve{number}" d="M{_LEFT + 10} {y}h22"/>')
            marks.append(f'<text x="{_LEFT + 38}" y="{y + 4}">{name}</text>')
    return _chart("Wrong answers by the share of pictures answered", "pictures answered", "wrong answers", marks, top)


def heat_map(confusion: IntArray) -> Markup:
    """The confusion matrix [C, C] of many classes: a square a cell that holds pictures, darker for a larger share."""
    classes, side = len(confusion), 600
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    cell = side / classes
    marks = [
        f'<rect x="{column * cell:.2f}" y="{row * cell:.2f}" width="{cell:.2f}" height="{cell:.2f}" '
        f'class="{"right" if row == column else "wrong"}" opacity="{0.15 + 0.85 * shares[row, column]:.2f}"/>'
        for row, column in np.argwhere(confusion)
    ]
    return Markup(
        f'<svg class="heat" viewBox="0 0 {side} {side}" role="img" aria-label="Confusion matrix: rows are the labels, '
        f'columns the answers">{"".join(marks)}</svg>'
    )


def _chart(title: str, x_name: str, y_name: str, marks: Iterable[str], top: float = 1.0) -> Markup:
    """Axes in shares, x from 0 to 1 and y from 0 to `top`, around the marks."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    axes = [f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        axes.append(f'<path class="grid" d="M{_LEFT} {_y(tick)}H{right}"/>')
        axes.append(f'<text x="{_LEFT - 6}" y="{_y(tick) + 4}" text-anchor="end">{tick * top * 100:g}%</text>')
        axes.append(f'<text x="{_x(tick)}" y="{bottom + 17}" text-anchor="middle">{tick:.0%}</text>')
    axes.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{x_name}</text>')
    axes.append(f'<text transform="translate(13 {bottom / 2}) rotate(-90)" text-anchor="middle">{y_name}</text>')
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">'
        f"{''.join(axes)}{''.join(marks)}</svg>"
    )


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM), 1)
