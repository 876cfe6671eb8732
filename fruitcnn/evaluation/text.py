"""The figures of an evaluation as a person reads them in a terminal."""

import collections
from collections.abc import Iterator

from fruitcnn import cells
from fruitcnn.calibration.intervals import OF_NOTHING
from fruitcnn.dataset.remarks import damaged
from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.measured import Metrics, shares_text
from fruitcnn.terminal import printable
from fruitcnn.wording import counted

# A larger matrix does not fit a terminal; then the largest confusions are listed.
_MATRIX_CLASSES = 12
# Of a terminal's line; a matrix that is wider has numbers above its columns.
_COLUMNS = 79
_CONFUSIONS = 10
# Of a label before the figures of its class, and in a matrix or a list of confusions: a longer one shows both its ends.
_CLASS_COLUMNS, _TRUE_COLUMNS = 17, 29
# Reasons why pictures could not be read, the most frequent first: all have their line on standard error.
_ERRORS = 5
METHODS = (
    "Ranges are 95 % intervals: Wilson's for shares, the bootstrap (1,000 resamples, a fixed seed) for the rest, for "
    "balanced accuracy and macro F1 at least as wide as the classes' own ranges make it (MOVER); for "
    "the calibration error, what a perfectly calibrated model shows on as many pictures (1,000 simulations)."
)


def summary(evaluation: Evaluation) -> str:
    """Everything, in lines; the headline and the warnings first."""
    metrics, rows = evaluation.metrics, evaluation.predictions.rows
    lines = [f"{evaluation.name} on {evaluation.pictures}"]
    if len(rows) > metrics.images:
        lines.append(f"{len(rows) - metrics.images} more could not be read")
        alike = collections.Counter(row.error for row in rows if row.error)
        lines += [f"{count:>6}  {error}" for error, count in alike.most_common(_ERRORS)]
    lines += [f"warning: {warning}" for warning in evaluation.warnings]
    lines += damaged((row.file, row.warning) for row in evaluation.damaged)
    lines += ["", *metrics_lines(metrics), "", METHODS]
    return "\n".join(map(printable, lines))


def left_out(evaluation: Evaluation) -> str:
    """A line for each picture that could not be read."""
    return "".join(printable(f"fruitcnn: left out {row.file}: {row.error}") + "\n" for row in evaluation.unreadable)


def metrics_lines(metrics: Metrics) -> Iterator[str]:
    """Classes, confusions and every figure of one set of pictures."""
    yield from _class_table(metrics)
    yield ""
    yield from _confusions(metrics)
    yield ""
    width = max(len(figure.metric.name) for figure in metrics.figures.values())
    for figure in metrics.figures.values():
        yield f"{figure.metric.name:<{width}}  {figure.value_text:>8}  {figure.interval_text}"


def confusions(metrics: Metrics) -> list[tuple[int, str, str]]:
    """Count, true label and answer of every confusion that occurs, the most frequent first."""
    labels = list(metrics.classes)
    found = [
        (count, labels[true], labels[answer])
        for true, row in enumerate(metrics.confusion)
        for answer, count in enumerate(row)
        if count and true != answer
    ]
    return sorted(found, key=lambda item: -item[0])


def _class_table(metrics: Metrics) -> Iterator[str]:
    labels = [_short(label, _CLASS_COLUMNS) for label in metrics.classes]
    width = max(map(cells.width, labels))
    yield f"{'':<{width}}  {'precision':<21}  {'recall':<21}  {'F1':<5}  support"
    for label, one in zip(labels, metrics.classes.values(), strict=True):
        shares = (
            f"{'-':>6} {'':<14}" if interval == OF_NOTHING else f"{value:>6.1%} {shares_text(interval):<14}"
            for value, interval in ((one.precision, one.precision_95), (one.recall, one.recall_95))
        )
        f1 = "-" if one.f1_95 == OF_NOTHING else f"{one.f1:.3f}"
        yield f"{cells.padded(label, width)}  {'  '.join(shares)}  {f1:>5}  {one.support:>7,}"


def _short(label: str, columns: int) -> str:
    return cells.cut_in_the_middle(printable(label), columns, "...")


def _confusions(metrics: Metrics) -> Iterator[str]:
    labels = [_short(label, _TRUE_COLUMNS) for label in metrics.classes]
    if len(labels) > _MATRIX_CLASSES:
        found = confusions(metrics)
        yield f"most confused ({counted(len(found), 'pair', 'pairs')}):" if found else "nothing is confused"
        for count, true, answer in found[:_CONFUSIONS]:
            yield f"{count:>6}  {_short(true, _TRUE_COLUMNS)} answered as {_short(answer, _TRUE_COLUMNS)}"
        return
    heads, width = labels, max(5, *map(cells.width, labels))
    if max(15, width) + len(labels) * (2 + width) > _COLUMNS:
        heads = [str(number) for number in range(1, len(labels) + 1)]
        labels = [f"{head:>2} {label}" for head, label in zip(heads, labels, strict=True)]
        width = max(len(heads[-1]), *(len(str(count)) for row in metrics.confusion for count in row))
    first = max(15, *map(cells.width, labels))
    yield f"{'true, answered:':<{first}}" + "".join(f"  {cells.right_aligned(head, width)}" for head in heads)
    for label, row in zip(labels, metrics.confusion, strict=True):
        yield cells.padded(label, first) + "".join(f"  {count:>{width}}" for count in row)
