"""Answers weighed anew for how frequent the classes are."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from fruitcnn.errors import UsageError
from fruitcnn.evaluation.metrics import calibration_error
from fruitcnn.evaluation.predictions import Prediction, Predictions
from fruitcnn.evaluation.priors import CLASS_BALANCE, learned_frequencies, read_priors, with_priors
from fruitcnn.evaluation.sample import Sample
from tests.tiny import CARD

LABELS = ("common", "rare")


def test_bayes_of_a_training_of_100_to_4_is_calibrated_on_as_many_of_each() -> None:
    """Of a measurement that is normal in each class the right answer is known, whatever the shares."""
    rng = np.random.default_rng(0)
    targets = np.arange(2000) % 2
    measured = rng.normal(targets, 0.7)
    odds = np.exp((measured - 0.5) / 0.49) * 4 / 100  # of the rare one, as who has learned from 100 to 4 has it
    rows = [
        Prediction("a", "test", LABELS[t], (float(1 / (1 + o)), float(o / (1 + o))))
        for t, o in zip(targets, odds, strict=True)
    ]
    given = Predictions(LABELS, tuple(rows))
    found = with_priors(given, Counter(common=100, rare=4), read_priors("balanced", LABELS))
    before, after = (calibration_error(Sample.of(each.arrays()[0], targets)) for each in (given, found))
    assert before > 0.2 and after < 0.04
    expected = odds * 25 / (1 + odds * 25)
    assert np.allclose(found.arrays()[0][:, 1], expected, atol=1e-6)


def test_shares_need_not_sum_to_one_and_a_row_without_an_answer_stays() -> None:
    broken = Prediction("b", "test", "rare", error="cut off")
    given = Predictions(LABELS, (Prediction("a", "test", "rare", (0.5, 0.5)), broken))
    found = with_priors(given, Counter(common=1, rare=1), read_priors("rare=3,common=1", LABELS))
    assert found.rows[0].probabilities == pytest.approx((0.25, 0.75)) and found.rows[1] == broken


@pytest.mark.parametrize("text", ["", "common=1", "common=1,rare=0", "common=1,rare=x", "common=1,rare=1,other=1"])
def test_what_is_no_priors_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--priors"):
        read_priors(text, LABELS)


def test_classes_that_were_weighed_alike_in_training_were_as_frequent_as_each_other() -> None:
    """Half-balanced, 100 to 4 were learned as 10 to 2."""
    counts = {"common": 100, "rare": 4}
    for balance, wanted in ((0.0, counts), (0.5, {"common": 10, "rare": 2}), (1.0, {"common": 1, "rare": 1})):
        card = dataclasses.replace(CARD, provenance={CLASS_BALANCE: balance})
        assert learned_frequencies(counts, card) == pytest.approx(wanted)
    assert learned_frequencies(counts, CARD) == counts
    assert learned_frequencies(counts, dataclasses.replace(CARD, provenance={CLASS_BALANCE: "much"})) is None


def test_nobody_guesses_how_frequent_they_were() -> None:
    for learned in (None, Counter(common=4)):
        with pytest.raises(UsageError, match="is not known"):
            with_priors(Predictions(LABELS, ()), learned, np.ones(2))
