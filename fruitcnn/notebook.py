"""How answers and evaluations look in a notebook: HTML of a few kB that needs no file and no network.

Colours are the notebook's own, light or dark; names of files and labels come from strangers, and are escaped.
"""

import base64
import html
import io
from collections.abc import Iterable

from PIL import Image

from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.measured import Metrics
from fruitcnn.evaluation.text import confusions
from fruitcnn.identify.explain import overlay
from fruitcnn.identify.results import Identification
from fruitcnn.terminal import printable

# Labels with a bar each, the likeliest.
_BARS = 8
# A larger confusion matrix is hard to read; then its largest cells are listed.
_MATRIX_CLASSES, _CONFUSIONS = 12, 10
_BAR, _TRACK, _RIGHT, _WRONG = "#f28c28", "rgba(128,128,128,.25)", "46,160,67", "242,140,40"
_CELL = "padding:2px 10px 2px 0;text-align:left;background:none"
_NUMBER = "padding:2px 10px;text-align:right;font-variant-numeric:tabular-nums"


def identification_html(result: Identification) -> str:
    """The picture, where its answer comes from, what it is and how sure that is, a bar a label.

    Without pictures for one that is not kept (`Identifier.identify_many` keeps none), and without evidence that was not
    asked for or is of other labels than the result's.
    """
    pictures = []
    if result.picture is not None:
        pictures.append((result.picture, "the picture"))
        if result.evidence is not None and len(result.evidence) == len(result.labels):
            index = result.labels.index(result.likeliest_label)
            title = f"orange: speaks for {result.likeliest_label}; blue: against"
            pictures.append((overlay(result.picture, result.evidence, index), title))
    shown = "".join(_picture(image, title) for image, title in pictures)
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start">{shown}{_answer(result)}</div>'


def evaluation_html(evaluation: Evaluation) -> str:
    """The set, what has to be known of it, every figure with its interval, and what is taken for what."""
    metrics = evaluation.metrics
    lines = [f"<b>{_text(evaluation.name)}</b> on {_text(evaluation.pictures)}"]
    if evaluation.unreadable:
        lines.append(f"{len(evaluation.unreadable):,} more could not be read")
    lines += [f"<b>warning:</b> {_text(warning)}" for warning in evaluation.warnings]
    figures = _table(
        ("figure", "value", "95 % interval"),
        ((one.metric.name, one.value_text, one.interval_text) for one in metrics.figures.values()),
    )
    return "".join(f"<div>{line}</div>" for line in lines) + figures + _confusions(metrics)


def _answer(result: Identification) -> str:
    known = dict(zip(result.labels, result.probabilities, strict=True))
    lines = [f'<b style="font-size:1.2em">{_text(result.identify_label)}</b>', f"<small>{_text(result.file)}</small>"]
    if result.familiarity is not None:
        like = f", less than {result.refuse_below:g}" if result.is_unknown else ""
        lines.append(f"<small>familiarity {result.familiarity:.3f}{like}</small>")
    if result.warning:
        lines.append(f"<small>warning: {_text(result.warning)}</small>")
    likeliest = sorted(known, key=known.__getitem__, reverse=True)[:_BARS]
    bars = "".join(_bar(label, known[label]) for label in likeliest)
    heading = "".join(f"<div>{line}</div>" for line in lines)
    return f'<div style="min-width:260px">{heading}<table style="margin:6px 0">{bars}</table></div>'


def _bar(label: str, probability: float) -> str:
    full = f"background:{_BAR};height:100%;width:{probability:.2%}"
    track = f'<div style="background:{_TRACK};width:120px;height:10px"><div style="{full}"></div></div>'
    return (
        f'<tr style="background:none"><td style="{_CELL}">{_text(label)}</td><td style="{_CELL}">{track}</td>'
        f'<td style="{_NUMBER}">{probability:.2%}</td></tr>'
    )


def _picture(image: Image.Image, title: str) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{_text(title)}" title="{_text(title)}" src="data:image/jpeg;base64,{data}">'


def _confusions(metrics: Metrics) -> str:
    labels = list(metrics.classes)
    if len(labels) > _MATRIX_CLASSES:
        rows = ((true, answer, f"{count:,}") for count, true, answer in confusions(metrics)[:_CONFUSIONS])
        return _table(("true", "answered", "pictures"), rows)
    head = "".join(f'<th style="{_NUMBER}">{_text(label)}</th>' for label in labels)
    body = "".join(_matrix_row(labels, true, row) for true, row in enumerate(metrics.confusion))
    return f'<table><tr style="background:none"><th style="{_CELL}">true, answered</th>{head}</tr>{body}</table>'


def _matrix_row(labels: list[str], true: int, row: list[int]) -> str:
    """Each cell coloured by its share of the row: green for right answers, orange for wrong ones; none for none."""
    total, cells = max(1, sum(row)), ""
    for answer, count in enumerate(row):
        # Few wrong answers are what one looks for: no cell that has any is as pale as an empty one.
        opacity = 0.2 + 0.4 * count / total if count else 0
        colour = f"rgba({_RIGHT if answer == true else _WRONG},{opacity:.2f})"
        cells += f'<td style="{_NUMBER};background:{colour}">{count:,}</td>'
    return f'<tr style="background:none"><th style="{_CELL}">{_text(labels[true])}</th>{cells}</tr>'


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = ["".join(f'<th style="{_CELL}">{_text(text)}</th>' for text in head)]
    cells += ["".join(f'<td style="{_CELL}">{_text(text)}</td>' for text in row) for row in rows]
    return "<table>" + "".join(f'<tr style="background:none">{row}</tr>' for row in cells) + "</table>"


def _text(text: str) -> str:
    return html.escape(printable(text))
