"""The model card as a person reads it."""

import json

from fruitcnn.checkpoint import find_model
from fruitcnn.identify.identifier import Identifier
from fruitcnn.terminal import printable


def describe(model: str) -> str:
    """A readable description of a model, from the card inside its ONNX file. Raises ModelError."""
    file = find_model(model)
    card = Identifier.load(file, once=True).card
    outputs = {output["name"] for output in card.outputs}
    rows = {
        "model": f"{file} ({file.stat().st_size / 1e6:.1f} MB)",
        "labels": card.labels_shown(),
        "input": f"image: float32 [batch, 3, {card.size}, {card.size}], RGB, 0..255",
        "resize": f"{card.resize}, {card.filter}",
        "output": f"probabilities: float32 [batch, {len(card.labels)}]",
        **({} if card.refuse_below is None else {"unknown": f"below a familiarity of {card.refuse_below:g}"}),
        **({"evidence": "where each answer comes from"} if "evidence" in outputs else {}),
        "calibration": f"temperature {card.temperature:.3f}, already in the weights",
        **{key: value if isinstance(value, str) else json.dumps(value) for key, value in card.provenance.items()},
    }
    width = max(map(len, rows))
    return "\n".join(f"{printable(key.replace('_', ' ')):<{width}}  {printable(value)}" for key, value in rows.items())
