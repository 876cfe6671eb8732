"""Run every program of examples/, measure it, and write docs/runtimes.md's table: python -m tests.runtimes.table."""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.runtimes.check import Result, check, model_folder, tensor_pictures
from tests.runtimes.environment import Environment, UnavailableError
from tests.runtimes.matrix import Runtime, load_matrix
from tests.runtimes.readme import write_table

HEADER = """\
| runtime | version | lines | graph | file as it is | largest difference: tensors | pictures | batch | MB | CPU |
|---|---|---|---|---|---|---|---|---|---|
"""
ROUNDS = 3
# Seconds.
LONG_START = 15.0


def main() -> int:
    """Print the table row by row, write it into the page if every row could be had; how many rows failed."""
    matrix = load_matrix()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tensors = tensor_pictures(work)
        model = model_folder(work / "yardstick")
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
        write_table("runtimes", HEADER + "\n".join(lines) + "\n")
    return len(failed)


def _row(runtime: Runtime, matrix: list[Runtime], model: Path, own: Path, tensors: list[Path]) -> str:
    environment = Environment(runtime)
    result = check(environment, model_folder(own), tensors)
    graph = "image" if runtime.graph == "image" else "model"
    yardstick = Environment(next(row for row in matrix if row.graph == graph))
    return _line(environment, result, _cpu_ratio(environment, yardstick, own, model, tensors))


def _cpu_ratio(environment: Environment, yardstick: Environment, own: Path, model: Path, files: list[Path]) -> str:
    """How many times onnxruntime's processor time a picture takes, on one processor, without starting the program.

    In turn, three rounds. A picture's time: that for all of them less that for a single one. A dash where the program
    compiles so long before the first picture that the pictures' time would be lost in it, or where a browser, whose
    processes leave no account, does the work.
    """
    if not environment.runtime.timed or environment.cpu_seconds(own, files[:1]) > LONG_START:
        return "-"
    times = np.array(
        [
            [[one.cpu_seconds(folder, taken) for taken in (files, files[:1])] for one, folder in both]
            for both in [((environment, own), (yardstick, model))] * ROUNDS
        ]
    )
    pictures = np.median(times[..., 0] - times[..., 1], axis=0)
    return f"{pictures[0] / pictures[1]:.1f}"


def _line(environment: Environment, result: Result, ratio: str) -> str:
    row = environment.runtime
    cells = [
        row.name, environment.version(), row.lines, row.graph, row.modified or "yes",
        f"{result.network:.1e}", f"{result.pictures:.1e}", "any" if row.batch else "1",
        f"{environment.megabytes():.0f}", ratio,
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
