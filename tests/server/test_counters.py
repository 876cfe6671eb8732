"""What is counted, in the memory that processes share; and where a server listens, without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruitcnn.server.counters import Board
from fruitcnn.server.serve import cpus, is_loopback


def value(board: Board, cell: str) -> float:
    (line,) = (line for line in board.text().splitlines() if line.startswith(f"{cell} "))
    return float(line.rpartition(" ")[2])


def test_a_time_is_counted_in_its_range_and_all_above() -> None:
    board = Board(1)
    counters = board.claim()
    for seconds in (0.004, 0.005, 0.3, 99.0):
        counters.count_request("identify", 200, seconds)
    counters.count_request("other", 200, 0.001)
    bounds = ("0.005", "0.2", "0.5", "10.0", "+Inf")
    ranges = {bound: value(board, f'fruitcnn_identify_seconds_bucket{{le="{bound}"}}') for bound in bounds}
    assert ranges == {"0.005": 2, "0.2": 2, "0.5": 3, "10.0": 3, "+Inf": 4}
    assert value(board, "fruitcnn_identify_seconds_sum") == pytest.approx(99.309)
    counters.count_request("identify", 418, 1)
    assert value(board, 'fruitcnn_requests_total{route="identify",status="other"}') == 1


def test_the_row_of_a_process_that_is_gone_is_gone_on_with() -> None:
    """No counter falls, and a gauge of the dead is none."""
    board = Board(1)
    first = board.claim()
    first.count_picture("identified")
    first.show_waiting(7)
    first.show_held(8)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    board._owners[0] = gone.pid
    second = board.claim()
    assert board._owners[0] == os.getpid() and not any(board._owners[1:])
    second.count_picture("identified")
    assert value(board, 'fruitcnn_pictures_total{outcome="identified"}') == 2
    assert value(board, "fruitcnn_waiting_pictures") == value(board, "fruitcnn_held_bytes") == 0
    board.claim().count_picture("identified")
    assert board._owners[1] == os.getpid() and value(board, 'fruitcnn_pictures_total{outcome="identified"}') == 3


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_which_addresses_are_this_machine_s_own(address: str, alone: bool) -> None:
    assert is_loopback(address) is alone


@pytest.mark.parametrize(
    ("limit", "count"), [("max 100000", None), ("50000 100000", 1), ("nonsense", None), ("9900000 100000", None)]
)
def test_threads_are_as_many_as_a_container_may_use(
    limit: str, count: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)
    monkeypatch.setattr("fruitcnn.server.serve._CPU_LIMIT", file)
    assert cpus() == (count or len(os.sched_getaffinity(0)))
