"""One of something is told in the singular, wherever it is counted."""

import re
from pathlib import Path

import numpy as np

from fruitcnn.evaluation.evaluation import Evaluation
from fruitcnn.evaluation.measured import measure
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.evaluation.sample import Sample
from fruitcnn.evaluation.text import summary
from fruitcnn.export.gate import Parity
from fruitcnn.fetch.fetch import Fetched
from fruitcnn.runs.verdict import verdict
from fruitcnn.wording import counted
from tests.conftest import REPOSITORY
from tests.tiny import CARD

# A number in an f-string before what it counts, where it could be one: constants, in capitals, are not.
BARE = re.compile(
    r"\{(?!counted\()[^{}]*[a-z)\]](?::,)?\} (?:labelled )?"
    r"(?:pictures|files|epochs|rows|classes|parts|labels|threads|processes|groups|pairs)\b"
)
# Here it is at least two, or says of how many.
MANY = (
    "of {len(records):,} pictures are",
    "left out {len(bad)} pictures, ",
    "only {count} pictures of {classes}: all are learned from",
    "all {len(members)} pictures of {label} count",
    "{sum(map(len, groups)):,} pictures in",
    "of {self.count:,} pictures no forecast",
    "{found.count:,} pictures of {len(found.labels)} classes",
    "of {len(reference.labels)} labels",
    "for {len(reference.labels)} labels",
    "of {len(found)} labels differ",
    "{ranks().count} processes",
    # In a call of `counted`.
    "f'{name} pictures'",
)


def test_no_number_stands_before_a_plural_where_it_can_be_one() -> None:
    found = []
    for file in sorted((REPOSITORY / "fruitcnn").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        for known in MANY:
            text = text.replace(known, "")
        found += [f"{file.name}: {match.group()}" for match in BARE.finditer(text)]
    assert not found
    assert BARE.search('f"{self.images} pictures"') and not BARE.search('f"{WAITING} pictures"')


def test_one_picture() -> None:
    assert counted(1, "row", "rows") == "1 row" and counted(1000, "row", "rows") == "1,000 rows"
    one = Evaluation.of("m", CARD, "test", Predictions(CARD.labels, (Prediction("a", "", "red", (0.8, 0.1, 0.1)),)))
    said = "m on 1 labelled picture of the test split"
    assert summary(one).startswith(f"{said}\n") and repr(one).startswith(f"<Evaluation: {said}\n")
    assert "<b>m</b> on 1 labelled picture of the test split<" in one._repr_html_()
    measured = measure(Sample.of(np.eye(2)[:1], np.array([0])), ["a", "b"])
    first, *_ = verdict({"test": measured}, chose_epoch=False)
    assert first.startswith("100.0% of 1 picture that it did not learn from is right (")
    assert "same labels on 1 picture; " in str(Parity("model.onnx", 1, 0.0))
    assert Fetched(Path("list.csv"), 1, 0, 0, {}).summary().startswith("1 picture: 0 fetched (0.0 MB), 1 was there;")
