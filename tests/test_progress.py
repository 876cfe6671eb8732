"""The bar on a real terminal (a pseudo-terminal), and its silence everywhere else."""

import io
import sys

import pytest

from fruitcnn.progress import Progress, clock, seconds_left, tracked
from tests.terminals import terminal


def test_the_bar_fits_the_terminal_and_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    with terminal(monkeypatch) as lines:
        assert list(tracked("abcd", "reading pictures", total=4)) == list("abcd")
    shown = [line for line in lines if line.strip()]
    assert all(len(line) <= 79 for line in lines) and not lines[-1].strip() and not lines[-2].strip()
    assert "reading pictures  ░░░░░░░░░░░░░░░░░░░░   0%" in shown[0] and "left" not in shown[0]
    assert "██████████░░░░░░░░░░  50%  0:00 left" in "".join(shown)
    with terminal(monkeypatch, columns=30) as lines:
        list(tracked("abcd", "a title that is as long as the line", total=4))
    assert {len(line) for line in lines} <= {0, 29}


def test_a_terminal_without_unicode_gets_a_bar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch, encoding="ascii") as lines:
        list(tracked("ab", "reading", total=2))
    assert "reading  --------------------" in "".join(lines)


def test_a_pipe_sees_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    list(tracked("ab", "reading", total=2))
    assert capfd.readouterr() == ("", "")
    # Without a console there is no standard error at all.
    monkeypatch.setattr(sys, "stderr", None)
    list(tracked("ab", "reading", total=2))


def test_there_is_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    with terminal(monkeypatch) as lines:
        with Progress("outer", 2) as outer:
            list(tracked("ab", "inner", total=2))
            outer.advance(title="outer, the rest")
        list(tracked("ab", "next", total=2))
    shown = "".join(lines)
    assert "inner" not in shown and "outer, the rest" in shown and "next" in shown


def test_the_time_that_is_left_is_reckoned_from_what_this_process_has_done() -> None:
    assert seconds_left(10, 2, 6) == 30 and seconds_left(10, 0, 6) is None and seconds_left(10, 2, -1) == 0
    assert [clock(seconds) for seconds in (5, 59.6, 750, 3723)] == ["0:05", "1:00", "12:30", "1:02:03"]


def test_a_resume_begins_where_the_run_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    with terminal(monkeypatch) as lines, Progress("epochs", 4, done=3) as progress:
        progress.advance()
    shown = [line for line in lines if line.strip()]
    assert " 75%" in shown[0] and "left" not in shown[0] and "100%  0:00 left" in shown[-1]


def test_an_error_takes_the_bar_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as lines, pytest.raises(ZeroDivisionError):
        for _ in tracked("ab", "reading", total=2):
            raise ZeroDivisionError
    assert not lines[-1].strip() and isinstance(sys.stderr, io.TextIOBase)
