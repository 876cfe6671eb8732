"""Run every program of examples/, measure it, and write the table of README: python -m tests.runtimes.table."""

import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.runtimes.check import Result, check, model_folder, tensor_pictures
from tests.runtimes.environment import Environment, UnavailableError
from tests.runtimes.matrix import Runtime, load_matrix

README = REPOSITORY / "README.md"
MARKERS = "<!-- runtimes: written by `make runtimes` -->", "<!-- end of runtimes -->"
HEADER = """\
| runtime | version | lines | graph | file as it is | largest difference: tensors | pictures | batch | MB | CPU |
|---|---|---|---|---|---|---|---|---|---|
"""
ROUNDS = 3


def main() -> int:
    """Print the table row by row, write it into README if every row could be had; the number of rows that failed."""
    matrix = load_matrix()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tensors = tensor_pictures(work)
        model = model_folder(work / "onnxruntime")
        lines, missing, failed = [], [], []
        for runtime in matrix:
            try:
                lines.append(_row(runtime, matrix, model, work / runtime.name, tensors))
                print(lines[-1], flush=True)
            except UnavailableError as reason:
                missing.append(runtime.name)
                print(f"{runtime.name}: can't be had here: {reason}", flush=True)
            except AssertionError as reason:
                failed.append(runtime.name)
                print(f"{runtime.name}: FAILED: {reason}", flush=True)
            shutil.rmtree(work / runtime.name, ignore_errors=True)
    print(f"{len(lines)} rows pass; failed: {failed or 'none'}; can't be had here: {missing or 'none'}")
    if not missing and not failed:
        _write(HEADER + "\n".join(lines) + "\n")
    return len(failed)


def _row(runtime: Runtime, matrix: list[Runtime], model: Path, own: Path, tensors: list[Path]) -> str:
    environment = Environment(runtime)
    result = check(environment, model_folder(own), tensors)
    graph = "image" if runtime.graph == "image" else "model"
    yardstick = Environment(next(row for row in matrix if row.graph == graph))
    return _line(environment, result, _cpu_ratio(environment, yardstick, own, model, tensors))


def _cpu_ratio(environment: Environment, yardstick: Environment, own: Path, model: Path, tensors: list[Path]) -> float:
    """How many times onnxruntime's processor time a picture takes, without what a process takes to start.

    In turn, three rounds, one processor. A picture's time: that for all pictures twice, less that for a single one.
    """
    many = tensors * 2
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for one, folder, taken in zip((environment, yardstick), (own, model), times, strict=True):
            taken.append(one.cpu_seconds(folder, many) - one.cpu_seconds(folder, many[:1]))
    return statistics.median(times[0]) / statistics.median(times[1])


def _line(environment: Environment, result: Result, ratio: float) -> str:
    row = environment.runtime
    cells = [
        row.name, environment.version(), row.lines, row.graph, row.modified or "yes",
        f"{result.network:.0e}", f"{result.pictures:.0e}", "any" if row.batch else "1",
        f"{environment.megabytes():.0f}", f"{ratio:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _write(table: str) -> None:
    text = README.read_text(encoding="utf-8")
    begin, end = MARKERS
    new = re.sub(f"(?<={re.escape(begin)}\n).*(?={re.escape(end)})", lambda _: table, text, flags=re.DOTALL)
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
