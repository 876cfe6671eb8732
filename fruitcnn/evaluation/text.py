"""The figures of an evaluation as a person reads them in a terminal."""

from collections.abc import Iterator

from fruitcnn.calibration.intervals import Interval
from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.metrics import Metrics
from fruitcnn.terminal import printable

# A wider matrix does not fit a terminal; then the largest confusions are listed.
_MATRIX_CLASSES = 12
_CONFUSIONS = 10
METHODS = (
    "Ranges are 95 % intervals: Wilson's for shares, the bootstrap (1,000 resamples, a fixed seed) for the rest; for "
    "the calibration error, what a perfectly calibrated model shows on as many pictures (1,000 simulations)."
)


def summary(evaluation: Evaluation) -> str:
    """Everything, in lines; the headline and the warnings first."""
    metrics, rows = evaluation.metrics, evaluation.predictions.rows
    split = f" of the {evaluation.split} split" if evaluation.split else ""
    lines = [f"{evaluation.name} on {metrics.images:,} labelled pictures{split}"]
    if len(rows) > metrics.images:
        lines.append(f"{len(rows) - metrics.images} more could not be read")
    lines += [f"warning: {warning}" for warning in evaluation.warnings]
    lines += ["", *_class_table(metrics), "", *_confusions(metrics), "", *_figures(evaluation), "", METHODS]
    return "\n".join(map(printable, lines))


def figures(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Name, value and range of each figure of the whole set, for terminals and pages alike."""
    metrics = evaluation.metrics
    rows = [
        ("accuracy", f"{metrics.accuracy:.2%}", _shares(metrics.accuracy_95)),
        ("balanced accuracy", f"{metrics.balanced_accuracy:.2%}", _shares(metrics.balanced_accuracy_95)),
        ("macro F1", f"{metrics.macro_f1:.3f}", _numbers(metrics.macro_f1_95)),
        ("loss (NLL)", f"{metrics.loss:.3f}", _numbers(metrics.loss_95)),
        (
            "calibration error",
            f"{metrics.calibration_error:.3f}",
            f"if perfect: {_numbers(metrics.calibration_error_if_perfect)}",
        ),
    ]
    if known := evaluation.refusal:
        rows.append(("refused as unknown", f"{known.refused_share:.1%}", _shares(known.refused_share_95)))
        rows.append(
            ("accuracy of the rest", f"{known.accuracy_of_the_rest:.2%}", _shares(known.accuracy_of_the_rest_95))
        )
    if outside := evaluation.outside_refusal:
        rows.append(("outside: AUROC", f"{outside.auroc:.3f}", _numbers(outside.auroc_95)))
        if outside.refused is not None and outside.refused_95 is not None:
            rows.append(("outside: refused", f"{outside.refused:.1%}", _shares(outside.refused_95)))
        at_95, interval = outside.refused_at_95, outside.refused_at_95_95
        rows.append(("outside: refused where 95 % of members are accepted", f"{at_95:.1%}", _shares(interval)))
    return rows


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


def _figures(evaluation: Evaluation) -> list[str]:
    rows = figures(evaluation)
    width = max(len(name) for name, _, _ in rows)
    return [f"{name:<{width}}  {value:>8}  {interval}" for name, value, interval in rows]


def _class_table(metrics: Metrics) -> Iterator[str]:
    width = max(len(printable(label)) for label in metrics.classes)
    yield f"{'':<{width}}  precision           recall              F1     support"
    for label, one in metrics.classes.items():
        shares = (
            f"{value:>6.1%} {_shares(interval):<12}"
            for value, interval in ((one.precision, one.precision_95), (one.recall, one.recall_95))
        )
        yield f"{printable(label):<{width}}  {'  '.join(shares)}  {one.f1:.3f}  {one.support:>6}"


def _confusions(metrics: Metrics) -> Iterator[str]:
    labels = [printable(label) for label in metrics.classes]
    if len(labels) > _MATRIX_CLASSES:
        found = confusions(metrics)
        yield f"most confused ({len(found)} pairs):" if found else "nothing is confused"
        yield from (f"{count:>6}  {true} answered as {answer}" for count, true, answer in found[:_CONFUSIONS])
        return
    first, width = max(map(len, labels)), max(5, *map(len, labels))
    yield f"{'true, answered:':<{max(first, 15)}}" + "".join(f"  {label:>{width}}" for label in labels)
    for label, row in zip(labels, metrics.confusion, strict=True):
        yield f"{label:<{max(first, 15)}}" + "".join(f"  {count:>{width}}" for count in row)


def _shares(interval: Interval) -> str:
    return f"{interval[0] * 100:.1f} to {interval[1]:.1%}"


def _numbers(interval: Interval) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"
