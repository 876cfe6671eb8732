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
