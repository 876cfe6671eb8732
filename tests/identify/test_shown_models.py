"""What `fruitcnn models` and `fruitcnn info` show on a terminal: columns that stand, whatever goes below a line."""

import dataclasses
import sys
from pathlib import Path

import pytest

from fruitcnn import cells
from tests.terminals import run_on_terminal, seen_lines
from tests.test_models import make_run
from tests.tiny import CARD, write_tiny_model

LONG = "strawberries-of-the-north_2026-11-30"


def shown(folder: Path, columns: int, *words: object) -> list[str]:
    status, received = run_on_terminal([sys.executable, "-m", "fruitcnn", *words], cwd=folder, columns=columns)
    lines = seen_lines(received)
    assert status == 0 and all(cells.width(line) < columns for line in lines), received
    return lines


@pytest.mark.parametrize("columns", [80, 120])
def test_a_model_is_a_line_however_long_its_name(tmp_path: Path, columns: int) -> None:
    card = dataclasses.replace(CARD, provenance={"created": "2026-11-20"})
    make_run(tmp_path, LONG, card)
    make_run(tmp_path, "草莓的照片和很多很多别的照片", card, age=1)
    header, long, chinese, fruits, small, *_ = shown(tmp_path, columns, "models")
    assert header.split() == ["name", "made", "accuracy", "size", "where"]
    for line, where in ((long, "checkpoints"), (chinese, "checkpoints"), (fruits, "comes"), (small, "comes")):
        assert cells.width(line[: line.index(where)]) == header.index("where")
        assert cells.width(line[: line.index("2026-11-2" if where != "comes" else "2026-")]) == header.index("made")
    assert long.startswith(f"{LONG}  " if columns == 120 else "strawb") and ("…" in long) is (columns == 80)


def test_a_damaged_card_is_told_below_its_column(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "damaged")
    (folder / "card.json").write_text("[]")
    header, first, second, *_ = shown(tmp_path, 80, "models")
    at = header.index("where")
    assert first[at:].startswith("checkpoints: its model") and second[:at].isspace() and second[at] != " "


def test_a_long_value_goes_on_below_its_value(tmp_path: Path) -> None:
    value = "photographs of the summer, " * 5 + "/".join(["and a path that nobody breaks".replace(" ", "-")] * 3)
    write_tiny_model(tmp_path / "tiny.onnx", dataclasses.replace(CARD, provenance={"data": value[:140]}))
    lines = shown(tmp_path, 80, "info", "tiny.onnx")
    at = lines[0].index("tiny.onnx")
    number = next(number for number, line in enumerate(lines) if line.startswith("data "))
    below = lines[number + 1]
    assert lines[number][at:].startswith("photographs of") and below[:at].isspace() and below[at] != " "
