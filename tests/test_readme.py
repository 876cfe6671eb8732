"""README stays true where that can be told from the files."""

import re

import numpy as np
import pytest

from fruitcnn import checkpoint
from fruitcnn.evaluation.intervals import wilson_interval
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
    ("name", "claim"),
    [
        (
            "fruits",
            "said to {count} of them: **{accuracy} %** right ({low} to {high} %), NLL {loss}, {accepted} % accepted",
        ),
        ("fruits-small", "a larger network (one seed): {accuracy} % of {count}, NLL {loss}"),
    ],
)
def test_the_shipped_models_are_worth_what_it_says(name: str, claim: str) -> None:
    """By the answers that lie beside the models, to pictures that had not been learned from."""
    predictions = read_predictions(REPOSITORY / "checkpoints" / name / checkpoint.PREDICTIONS).readable("validation")
    shares, targets = predictions.arrays()
    right = shares.argmax(1) == targets
    low, high = wilson_interval(int(right.sum()), len(right))
    accepted = np.mean([row.familiarity >= 0.05 for row in predictions.rows])
    loss = -np.log(shares[np.arange(len(targets)), targets]).mean()
    figures = {"accuracy": right.mean(), "low": low, "high": high, "accepted": accepted}
    said = claim.format(
        count=len(right), loss=f"{loss:.3f}", **{key: f"{100 * one:.1f}" for key, one in figures.items()}
    )
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert said in " ".join(readme.split())
