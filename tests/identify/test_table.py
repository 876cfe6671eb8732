"""The table that people read: on a terminal it fits the screen, in a pipe it is whole and plain."""

import re
import sys
from pathlib import Path

import pytest

from fruitcnn import cells
from tests.conftest import Run
from tests.terminals import run_on_terminal, seen_lines
from tests.tiny import write_picture, write_tiny_model

BRIGHT, DARK = (240, 60, 60), (40, 0, 0)
LONG = "photographs of the summer/in the garden behind the house/the bed of strawberries/picture number 17.png"


@pytest.fixture
def set_of_three(tmp_path: Path) -> list[object]:
    """The arguments of a command for a picture, an unknown one and a broken one, with names of all kinds."""
    write_tiny_model(tmp_path / "tiny.onnx")
    write_picture(tmp_path / LONG, BRIGHT)
    write_picture(tmp_path / "草莓的照片.png", BRIGHT)
    write_picture(tmp_path / "d\u00e9ja\u0300 vu \U0001f353.png", DARK)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    names = (LONG, "草莓的照片.png", "d\u00e9ja\u0300 vu \U0001f353.png", "broken.png")
    return [sys.executable, "-m", "fruitcnn", "identify", *names, "--model", "tiny.onnx"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_it_fits_the_terminal(set_of_three: list[object], tmp_path: Path, columns: int) -> None:
    status, received = run_on_terminal(set_of_three, cwd=tmp_path, columns=columns)
    lines = seen_lines(received)
    assert status == 3 and all(cells.width(line) < columns for line in lines)
    header, long, chinese, unknown, broken = lines[:5]
    assert header.split() == ["rate", "answer", "picture", "or", "else"]
    assert re.match(r" *\d\d\.\d\d%  red  ", long)
    # Of a name that does not fit both ends are seen, most of the end.
    shown = long[header.index("picture") :]
    assert re.match(r"photo.*….*er 17\.png", shown) if columns < 120 else "number 17.png" in shown
    # Where what else it could be begins, is the same column to the eye, whatever the characters before it.
    for line, first in ((header, "or else"), (long, "green"), (chinese, "green"), (unknown, "familiarity")):
        assert cells.width(line[: line.index(first)]) == header.index("or else")
    assert unknown.split()[0] == "unknown" and "familiarity 0.052" in unknown
    assert broken.split()[:2] == ["rejected", "broken.png"]
    said = " ".join(" ".join(lines[4:]).split())
    assert "broken picture (its header can't be read); save or download it again" in said


def test_a_name_is_whole_where_one_other_label_fits_beside_it(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny.onnx")
    name = "photographs of the summer/number 17.png"
    write_picture(tmp_path / name, BRIGHT)
    words = [sys.executable, "-m", "fruitcnn", "identify", name, "--model", "tiny.onnx"]
    _, received = run_on_terminal(words, cwd=tmp_path, columns=80)
    assert re.search(rf" {name}  green \d", received.replace("\x1b[2m", ""))


def test_the_last_line_counts(set_of_three: list[object], tmp_path: Path) -> None:
    lines = [line for line in seen_lines(run_on_terminal(set_of_three, cwd=tmp_path)[1]) if line]
    assert re.fullmatch(r"2 identified, 1 unknown, 1 rejected, [\d,.]+/s", lines[-1])
    assert not any("identifying pictures" in line for line in lines), "the bar is gone"
    _, received = run_on_terminal(set_of_three, cwd=tmp_path)
    assert "identifying pictures" in received
    _, received = run_on_terminal([*set_of_three[:4], "broken.png", *set_of_three[-2:]], cwd=tmp_path)
    assert "identifying" not in received and "/s" not in received, "one picture needs neither"


def test_colours_are_for_terminals_that_want_them(set_of_three: list[object], tmp_path: Path, cli: Run) -> None:
    assert "\x1b[32mred" in run_on_terminal(set_of_three, cwd=tmp_path)[1]
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in run_on_terminal(set_of_three, cwd=tmp_path, environment=environment)[1]
    assert "…" not in run_on_terminal(set_of_three, cwd=tmp_path, environment={"PYTHONIOENCODING": "ascii"})[1]
    done = cli(*set_of_three[3:])
    assert "\x1b" not in done.stdout and done.stderr == "" and len(done.stdout.splitlines()) == 4
    assert LONG in done.stdout and "answer" not in done.stdout


def test_columns_are_counted_as_terminals_show_them() -> None:
    for text, columns in {
        "grape": 5,
        "草莓": 4,
        "e\u0301": 1,
        "\U0001f353": 2,
        "❤\ufe0f": 2,
        "\U0001f44d\U0001f3fd": 2,
        "\U0001f1e8\U0001f1ed": 2,
        "\u1112\u1161\u11ab": 2,
    }.items():
        assert cells.width(text) == columns, ascii(text)
        assert cells.width(cells.padded(text, 9)) == 9
    for width in range(4, 12):
        for text in ("草莓的照片在这里", "e\u0301" * 20, "grapes and more"):
            for short in (cells.cut(text, width, "…"), cells.cut_in_the_middle(text, width, "...")):
                assert width - 1 <= cells.width(short) <= width
    assert cells.cut_in_the_middle("abcdefghij", 7, "…") == "ab…ghij"
    assert cells.cut("e\u0301e\u0301e\u0301", 2, "…") == "e\u0301…", "an accent stays with its letter"
    assert cells.wrapped("one two three", 7) == ["one two", "three"]
