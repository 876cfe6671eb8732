"""The model card: what is written is read back, and what is not understood is refused."""

import json

import pytest

from fruitcnn.card import ModelCard
from fruitcnn.errors import ModelError

CARD = ModelCard(labels=("葡萄", "pineapple"), size=96, temperature=0.8, provenance={"seed": 1})


def test_round_trip() -> None:
    assert ModelCard.from_json(CARD.to_json(), source="x") == CARD
    assert "葡萄" in CARD.to_json()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": "fruitcnn-card/9"}, "format"),
        ({"labels": ["a"]}, "two or more"),
        ({"labels": ["a", "a"]}, "two or more"),
        ({"labels": [1, 2]}, "two or more"),
        ({"labels": None}, "damaged"),
        ({"input": {"size": 96, "resize": "letterbox", "filter": "bilinear"}}, "letterbox"),
        ({"input": {"size": 96, "resize": "squash", "filter": "nearest"}}, "nearest"),
        ({"input": {"size": "96", "resize": "squash", "filter": "bilinear"}}, "size"),
        ({"input": {}}, "damaged"),
        ({"calibration": {}}, "damaged"),
        ({"calibration": {"temperature": 0}}, "temperature"),
        ({"calibration": {"temperature": "hot"}}, "damaged"),
        ({"provenance": 3}, "damaged"),
        ({"labels": "abc"}, "damaged"),
        ({"format": "other-card/1"}, "format"),
        ({"format": "fruitcnn-card/0"}, "format"),
        ({"format": "fruitcnn-card/x"}, "format"),
    ],
)
def test_refuses_what_it_does_not_understand(change: dict[str, object], reason: str) -> None:
    text = json.dumps({**json.loads(CARD.to_json()), **change})
    with pytest.raises(ModelError, match=reason) as caught:
        ModelCard.from_json(text, source="some.onnx")
    assert "some.onnx" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1'])
def test_refuses_what_is_no_card(text: str) -> None:
    with pytest.raises(ModelError, match="damaged"):
        ModelCard.from_json(text, source="x")


def test_what_later_versions_add_is_kept_and_means_nothing() -> None:
    fields = json.loads(CARD.to_json())
    fields["format"] = "fruitcnn-card/1.4"
    fields["input"]["mean"] = [1, 2, 3]
    fields["licence"] = {"name": "MIT"}
    card = ModelCard.from_json(json.dumps(fields), source="x")
    assert (card.labels, card.size, card.provenance) == (CARD.labels, CARD.size, CARD.provenance)
    assert card.extra == {"input": {"mean": [1, 2, 3]}, "licence": {"name": "MIT"}}
    again = json.loads(card.to_json())
    assert again["input"] == fields["input"] and again["licence"] == fields["licence"]
    assert ModelCard.from_json(card.to_json(), source="x") == card and CARD.extra == {}


def test_a_newer_format_names_the_version_to_install() -> None:
    fields = {**json.loads(CARD.to_json()), "format": "fruitcnn-card/2", "provenance": {"fruitcnn": "3.1"}}
    with pytest.raises(ModelError, match=r"newer format fruitcnn-card/2.*pip install 'fruitcnn>=3\.1'"):
        ModelCard.from_json(json.dumps(fields), source="x")
    with pytest.raises(ModelError, match="--upgrade fruitcnn"):
        ModelCard.from_json(json.dumps({"format": "fruitcnn-card/12.1"}), source="x")
