"""README stays true where that can be told from the files."""

import re

import numpy as np
import pytest

from fruitcnn import checkpoint
from fruitcnn.calibration.intervals import wilson_interval
from fruitcnn.evaluation.predictions import read_predictions
from tests.conftest import REPOSITORY


def test_the_fault_table_has_a_row_for_every_test_of_faults() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ *(\d+) of (\d+) +(\S.*)$", readme, re.MULTILINE)
    sources = "".join(file.read_text(encoding="utf-8") for file in (REPOSITORY / "tests" / "faults").glob("test_*.py"))
    names = [name.replace("_", " ") for name in re.findall(r"^def test_(\w+)", sources, re.MULTILINE)]
    assert len(names) >= 50 and sorted(names) == sorted(name for _, _, name in rows)
    cases = sum(int(held) for held, _, _ in rows)
    assert f"{len(names)} kinds of fault: {cases} held, 0 failed" in readme


@pytest.mark.parametrize(
    ("name", "split", "claim"),
    [
        (
            "fruits",
            "train",
            "Each of its {count} training photographs was answered by one of five last layers that were fitted "
            "without it: **{accuracy} %** are right ({low} to {high} %), NLL {loss}.",
        ),
        (
            "fruits",
            "validation",
            "Of {count} photographs that nothing was learned or chosen from {accuracy} % are right "
            "({low} to {high} %), NLL {loss}, {accepted} % accepted.",
        ),
        ("fruits-small", "validation", "a larger network (one seed): {accuracy} % of {count}, NLL {loss}."),
    ],
)
def test_the_shipped_models_are_worth_what_it_says(name: str, split: str, claim: str) -> None:
    """By the answers that lie beside the models, to pictures that had not been learned from."""
    predictions = read_predictions(REPOSITORY / "checkpoints" / name / checkpoint.PREDICTIONS)
    rows = [row for row in predictions.rows if row.split == split]
    shares = np.array([row.held_out or row.probabilities for row in rows])
    assert split == "validation" or all(row.held_out for row in rows)
    targets = np.array([predictions.labels.index(row.label) for row in rows])
    right = shares.argmax(1) == targets
    low, high = wilson_interval(int(right.sum()), len(right))
    accepted = np.mean([(row.familiarity or 0) >= 0.05 for row in rows])
    loss = -np.log(shares[np.arange(len(targets)), targets]).mean()
    figures = {"accuracy": right.mean(), "low": low, "high": high, "accepted": accepted}
    said = claim.format(
        count=f"{len(right):,}", loss=f"{loss:.3f}", **{key: f"{100 * one:.1f}" for key, one in figures.items()}
    )
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert said in " ".join(readme.split())
