"""predictions.csv, read as another program would."""

import csv
from pathlib import Path

from fruitcnn.evaluation.predictions import Prediction, Predictions

_PROBABILITY = "probability_"


def read_predictions(path: Path) -> Predictions:
    """What `write_predictions` has written."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        names = reader.fieldnames or []
        labels = tuple(name.removeprefix(_PROBABILITY) for name in names if name.startswith(_PROBABILITY))
        return Predictions(labels, tuple(_prediction(row, labels) for row in reader))


def _prediction(row: dict[str, str], labels: tuple[str, ...]) -> Prediction:
    probabilities, held_out = (
        tuple(float(row[prefix + label]) for label in labels if row.get(prefix + label))
        for prefix in (_PROBABILITY, "held_out_")
    )
    return Prediction(
        row["file"],
        row["split"],
        row["label"],
        probabilities,
        float(row["familiarity"]) if row["familiarity"] else None,
        row["error"],
        held_out,
        row.get("warning", ""),
    )
