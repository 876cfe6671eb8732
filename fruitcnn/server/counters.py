"""What is counted, of all processes together: cells of shared memory, a row a process; read as Prometheus' text."""

import bisect
import multiprocessing
import os

from fruitcnn.signals import is_alive

_SPAWN = multiprocessing.get_context("spawn")
ROUTES = ("identify", "other")
OUTCOMES = ("identified", "unknown", "rejected")
# 499: the client left before its answer.
_STATUSES = ("200", "307", "400", "401", "404", "405", "408", "413", "415", "422", "429", "499", "500", "503", "other")
# Upper ends of the ranges of seconds that requests are sorted into.
_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RANGES = (*map(str, _BOUNDS), "+Inf")
_REQUESTS, _SECONDS, _PICTURES = "fruitcnn_requests_total", "fruitcnn_identify_seconds", "fruitcnn_pictures_total"
_LOADS, _FAILED = "fruitcnn_model_loads_total", "fruitcnn_model_load_failures_total"
_WAITING, _HELD = "fruitcnn_waiting_pictures", "fruitcnn_held_bytes"
# Kind and meaning of each family, and its cells by their labels.
_FAMILIES = {
    _REQUESTS: (
        "counter",
        "Requests that were answered.",
        [f'{{route="{route}",status="{status}"}}' for route in ROUTES for status in _STATUSES],
    ),
    _PICTURES: ("counter", "Pictures by what came out.", [f'{{outcome="{outcome}"}}' for outcome in OUTCOMES]),
    _LOADS: ("counter", "Models that were loaded.", [""]),
    _FAILED: ("counter", "Models that could not be loaded in place of the one that answers.", [""]),
    _WAITING: ("gauge", "Pictures that wait for a thread or have one.", [""]),
    _HELD: ("gauge", "Bytes of bodies in memory.", [""]),
    _SECONDS: (
        "histogram",
        "Seconds from a request's head to the end of its answer, of those to /identify.",
        [*(f'_bucket{{le="{bound}"}}' for bound in _RANGES), "_sum", "_count"],
    ),
}
_CELLS = {f"{name}{label}": 0 for name, (_, _, labels) in _FAMILIES.items() for label in labels}
_CELLS = {cell: index for index, cell in enumerate(_CELLS)}
_GAUGES = [_CELLS[_WAITING], _CELLS[_HELD]]
# Rows beyond the workers': more of them can be had by a signal to uvicorn's supervisor.
_SPARE = 8


class Board:
    """The cells of all processes; made once, before the first of them."""

    def __init__(self, workers: int) -> None:
        self._rows = workers + _SPARE
        self._cells = _SPAWN.RawArray("d", self._rows * len(_CELLS))
        self._owners = _SPAWN.RawArray("q", self._rows)
        self._lock = _SPAWN.Lock()

    def claim(self) -> "Counters":
        """A row for this process; that of one that is gone is gone on with, so that no counter falls."""
        with self._lock:
            row = next(
                (row for row in range(self._rows) if not self._owners[row] or not is_alive(self._owners[row])),
                self._rows - 1,
            )
            self._owners[row] = os.getpid()
        for gauge in _GAUGES:
            self._cells[row * len(_CELLS) + gauge] = 0
        return Counters(self, row * len(_CELLS))

    def add(self, index: int, amount: float) -> None:
        """Add to a cell; only its owner does."""
        self._cells[index] += amount

    def put(self, index: int, value: float) -> None:
        """Set a cell; only its owner does."""
        self._cells[index] = value

    def text(self) -> str:
        """The sums over all processes, as Prometheus reads them."""
        cells = list(self._cells)
        lines = []
        for name, (kind, meaning, labels) in _FAMILIES.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
            for label in labels:
                value = sum(cells[_CELLS[f"{name}{label}"] :: len(_CELLS)])
                lines.append(f"{name}{label} {value:.15g}")
        return "\n".join(lines) + "\n"


class Counters:
    """The cells of this process."""

    def __init__(self, board: Board, start: int) -> None:
        self._board = board
        self._start = start

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = str(status) if str(status) in _STATUSES else "other"
        self._add(f'{_REQUESTS}{{route="{route}",status="{known}"}}')
        if route == ROUTES[0]:
            # Each range holds those below it, too.
            for bound in _RANGES[bisect.bisect_left(_BOUNDS, seconds) :]:
                self._add(f'{_SECONDS}_bucket{{le="{bound}"}}')
            self._add(f"{_SECONDS}_sum", seconds)
            self._add(f"{_SECONDS}_count")

    def count_picture(self, outcome: str) -> None:
        """One picture was identified, is unknown, or was rejected."""
        self._add(f'{_PICTURES}{{outcome="{outcome}"}}')

    def count_load(self, *, failed: bool = False) -> None:
        """A model was loaded, or could not be."""
        self._add(_FAILED if failed else _LOADS)

    def show_waiting(self, pictures: int) -> None:
        """So many pictures wait now."""
        self._board.put(self._start + _CELLS[_WAITING], pictures)

    def show_held(self, amount: int) -> None:
        """So many bytes of bodies are held now."""
        self._board.put(self._start + _CELLS[_HELD], amount)

    def _add(self, cell: str, amount: float = 1) -> None:
        self._board.add(self._start + _CELLS[cell], amount)
