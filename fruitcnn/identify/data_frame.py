"""Results as columns, which pandas, polars and pyarrow make a table of: none of them is needed here."""

from collections.abc import Iterable
from typing import Any

from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.identify.writers import label_column


def to_columns(results: Iterable[Identification | Rejection]) -> dict[str, list[Any]]:
    """Make columns of results, for `pandas.DataFrame`, `polars.DataFrame` or `pyarrow.table`.

    They are the columns of `fruitcnn identify --format csv`: file, identify_label, identify_rate, the probability of
    each label, familiarity (where a model has it), error and warning. An empty cell is None.

    Args:
        results: What `Identifier.identify_many` yields.

    Returns:
        The columns by their names. Each has a value for each result, in order.

    Example:
        >>> table = pandas.DataFrame(fruitcnn.to_columns(identifier.identify_many(photos)))
    """
    rows = list(results)
    answers = [row if isinstance(row, Identification) else None for row in rows]
    columns: dict[str, list[Any]] = {
        "file": [row.file for row in rows],
        "identify_label": [answer and answer.identify_label for answer in answers],
        "identify_rate": [answer and answer.identify_rate for answer in answers],
    }
    known = [dict(zip(answer.labels, answer.probabilities, strict=True)) if answer else {} for answer in answers]
    for label in dict.fromkeys(label for one in known for label in one):
        columns[label_column(label)] = [one.get(label) for one in known]
    familiarity = [answer and answer.familiarity for answer in answers]
    if any(one is not None for one in familiarity):
        columns["familiarity"] = familiarity
    columns["error"] = [row.error if isinstance(row, Rejection) else None for row in rows]
    columns["warning"] = [answer and (answer.warning or None) for answer in answers]
    return columns
