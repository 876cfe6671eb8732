"""The bar on a real terminal (a pseudo-terminal), and its silence everywhere else."""

import io
import sys
from pathlib import Path

import pytest

from fruitcnn.progress import Progress, above_the_bar, clock, part, rest_of_the_work, seconds_left, tracked
from fruitcnn.runs.verdict import next_commands
from fruitcnn.terminal import wrapped
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


def test_what_opens_within_a_part_moves_the_bar_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    with terminal(monkeypatch) as lines, Progress("run", 10) as run:
        with part("reading", 4):
            assert [run.done for _ in tracked("ab", "pictures", total=2)] == [0, 2]
            assert run.done == 4 and run.title == "pictures"
        with part("exporting", share=0.5):
            # As a resume: what was done before moves the bar, and says nothing of the speed.
            with Progress("epochs", 4, done=2) as epochs:
                assert (run.done, run._before) == (5.5, 1.5)
                with part("within", 100):
                    epochs.advance()
            assert run.done == 6.25
        assert run.done == 7
        with pytest.raises(ZeroDivisionError), part("report", share=1):
            raise ZeroDivisionError
        assert run.done == 7
    shown = [line.split("  ")[0] for line in lines if line.strip()]
    assert list(dict.fromkeys(shown)) == ["run", "reading", "pictures", "exporting", "epochs", "report"]
    with part("nothing is shown", 1):
        pass


def test_what_is_left_has_a_unit_and_a_speed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruitcnn.progress._PAUSE", 0)
    with terminal(monkeypatch) as lines, Progress("reading", 1.0) as run:
        with part("reading", 0.4):
            list(tracked("ab", "reading pictures", total=2))
            # A second bar in the same part: nothing goes backwards.
            list(tracked("ab", "reading others", total=2))
        with rest_of_the_work("epochs", 6):
            assert (round(run.total, 6), round(run.done, 6), run.done) == (10, 4, run._before)
            with part("epochs", 3):
                list(tracked("abc", "epoch", total=3))
            assert round(run.done, 6) == 7
    percents = [int(line.split("%")[0][-3:]) for line in lines if "%" in line]
    assert percents == sorted(percents) and {0, 20, 40, 50, 60, 70} <= set(percents)
    with rest_of_the_work("alone", 2):
        pass


def test_a_line_is_printed_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as lines, Progress("run", 2):
        above_the_bar(lambda line: print(line, file=sys.stderr, flush=True))("said")
    at = next(number for number, line in enumerate(lines) if line.startswith("said"))
    after = next(line for line in lines[at + 1 :] if line.strip())
    assert not lines[at - 1].strip() and after.startswith("run  ")
    said = list[str]()
    above_the_bar(said.append)("without a bar")
    assert said == ["without a bar"]


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


def test_long_lines_are_broken_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"  word {'x' * 90} --an-option " + "more words " * 8
    assert wrapped(line, io.StringIO()) == line
    with terminal(monkeypatch):
        first, *others = wrapped(f"{line}\nshort", sys.stderr).split("\n")
    assert first == "  word" and others[0] == f"    {'x' * 90}" and others[-1] == "short"
    assert others[1].startswith("    --an-option more") and all(len(other) < 80 for other in others[1:])


def test_what_people_copy_is_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("checkpoints/strawberries-and-other-berries-of-the-north_2026-11-30_123456")
    commands = [f"  {command}" for command in next_commands(folder)]
    command = f"fruitcnn identify {'a-picture-of-a-grape.png ' * 3}"
    with terminal(monkeypatch):
        assert wrapped("\n".join(commands), sys.stderr).split("\n") == commands
        error = wrapped(f"fruitcnn: a-picture-of-a-grape.png: no such command; run: {command}", sys.stderr)
        assert error.split("\n")[1:] == [f"  {command}".rstrip()]
        error = wrapped(
            "fruitcnn: --learning-rate: no such option; did you mean --set train.learning_rate=...?", sys.stderr
        )
        assert error.split("\n")[1:] == ["  --set train.learning_rate=...?"]
    assert max(map(len, commands)) > 80
