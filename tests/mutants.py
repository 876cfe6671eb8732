"""Change one behaviour at a time, and see that the test which names it fails.

`python -m tests.mutants` applies each entry of every mutants.toml below tests/ in a copy of the tree and runs its test
there; a mutant that no test notices has survived, and the command ends with status 1. So it does where an entry no
longer fits its file; the others run all the same. The lists lie beside the tests they belong to. An entry says:

    [[mutant]]
    file = "fruitcnn/image/picture.py"     # where
    old = "..."                    # text that occurs there exactly once
    new = "..."                    # what replaces it
    test = "tests/image/test_image.py::test_name"   # the test (or a list of them) that must fail
    equivalent = "why"             # only where no test can tell the difference: it is listed, not run

The libraries are imported once and every mutant runs in a fork of that process, so that most take a second or two.
"""

import argparse
import contextlib
import dataclasses
import importlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
LISTS = sorted((REPOSITORY / "tests").rglob("mutants.toml"))
LIBRARIES = (
    *("numpy", "PIL.Image", "onnxruntime", "typer", "pytest", "pydantic", "yaml", "matplotlib.figure"),
    *("torch", "torchvision.transforms.v2", "torchmetrics", "lightning", "onnx"),
)
KILLED, SURVIVED, SPOILED, STALE = "killed", "SURVIVED", "SPOILED", "STALE"
# A mutant that hangs has been noticed, too.
SECONDS_EACH = 120
# All tests of a file that the lists name, one after the other.
SECONDS_WITHOUT_CHANGE = 1800


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One entry of the list."""

    file: str
    old: str
    new: str
    test: str | tuple[str, ...]
    equivalent: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()!r} -> {self.new.strip()!r}"

    @property
    def tests(self) -> list[str]:
        """The node ids of the tests that must notice it."""
        return [self.test] if isinstance(self.test, str) else list(self.test)


def read_mutants(lists: Iterable[Path]) -> list[Mutant]:
    """All entries of some lists, in their order."""
    return [Mutant(**entry) for path in lists for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]


def is_stale(mutant: Mutant) -> bool:
    """Whether the old text does not occur exactly once in its file any more, or the file has gone."""
    path = REPOSITORY / mutant.file
    return not path.is_file() or path.read_text(encoding="utf-8").count(mutant.old) != 1


def copy_tree(target: Path) -> None:
    """Copy what git knows, and what it would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)


def run_tests(tree: Path, tests: list[str], seconds: float) -> int | None:
    """pytest's exit status, in a fork of this process that imports the package from `tree`; None after `seconds`."""
    child = os.fork()
    if child == 0:
        os.setsid()
        _become_pytest(tree, tests)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _become_pytest(tree: Path, tests: list[str]) -> None:
    status = 3
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(tree)
        os.environ.update(PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1")
        sys.dont_write_bytecode = True
        for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "fruitcnn")]:
            del sys.modules[name]
        sys.path.insert(0, str(tree))
        with (tree / "pytest.log").open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        status = int(importlib.import_module("pytest").main(["-x", "-q", "-m", "", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(status)


def try_mutant(mutant: Mutant) -> tuple[Mutant, str, str]:
    """Apply one mutant in this worker's copy, run its tests, take it back: the mutant, its fate, the log's end."""
    path = TREE / mutant.file
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    status = run_tests(TREE, mutant.tests, SECONDS_EACH)
    path.write_text(before, encoding="utf-8")
    # 1: tests failed. Anything else but 0 means that they were not run at all: the entry is of no use.
    fate = {0: SURVIVED, 1: KILLED, None: KILLED}.get(status, SPOILED)
    return mutant, fate, "" if fate == KILLED else (TREE / "pytest.log").read_text(errors="replace")[-600:]


def tests_by_file(mutants: list[Mutant]) -> list[list[str]]:
    """The tests that the mutants name, those of one file together."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    return [list(some) for _, some in itertools.groupby(tests, lambda test: test.partition("::")[0])]


def try_tests(tests: list[str]) -> tuple[list[str], str]:
    """Run tests in this worker's copy, where nothing is changed: the tests, and the log's end where one fails."""
    if run_tests(TREE, tests, SECONDS_WITHOUT_CHANGE) == 0:
        return tests, ""
    return tests, (TREE / "pytest.log").read_text(errors="replace")[-2000:]


def _start_worker(folder: Path) -> None:
    global TREE
    TREE = Path(tempfile.mkdtemp(dir=folder)) / "tree"
    copy_tree(TREE)


def main() -> None:
    """Print each survivor and a count; status 1 where one survived or is stale, or a test failed without any change."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lists", nargs="*", type=Path, help="default: every mutants.toml below tests/")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of them, chosen by the commit's hash")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    mutants = read_mutants(options.lists or LISTS)
    stale = [mutant for mutant in mutants if is_stale(mutant)]
    for mutant in stale:
        print(f"{STALE} {mutant}: the old text does not occur exactly once")
    equivalent = [mutant for mutant in mutants if mutant.equivalent]
    chosen = [mutant for mutant in mutants if not mutant.equivalent and mutant not in stale]
    if options.sample:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True).stdout
        chosen = random.Random(commit).sample(chosen, min(options.sample, len(chosen)))
    for library in LIBRARIES:
        importlib.import_module(library)
    counts = {KILLED: 0, SURVIVED: 0, SPOILED: 0, STALE: len(stale)}
    with (
        tempfile.TemporaryDirectory() as folder,
        # Of workers that may have children themselves, as tests do.
        ProcessPoolExecutor(options.jobs, multiprocessing.get_context("fork"), _start_worker, (Path(folder),)) as pool,
    ):
        failing: set[str] = set()
        for done in as_completed([pool.submit(try_tests, tests) for tests in tests_by_file(chosen)]):
            tests, log = done.result()
            if log:
                print(
                    f"tests fail without any change, and tell nothing: {tests[0].partition('::')[0]}\n{log}", flush=True
                )
                failing.update(tests)
        counts[SPOILED] = sum(not failing.isdisjoint(mutant.tests) for mutant in chosen)
        trustworthy = [mutant for mutant in chosen if failing.isdisjoint(mutant.tests)]
        for tried in as_completed([pool.submit(try_mutant, mutant) for mutant in trustworthy]):
            mutant, fate, log = tried.result()
            counts[fate] += 1
            if fate != KILLED:
                print(f"{fate} {mutant} ({', '.join(mutant.tests)})\n{log}", flush=True)
    for mutant in equivalent:
        print(f"equivalent {mutant}: {mutant.equivalent}")
    print(", ".join(f"{count} {fate}" for fate, count in counts.items()) + f", {len(equivalent)} equivalent")
    sys.exit(0 if counts[KILLED] == len(chosen) and not stale else 1)


if __name__ == "__main__":
    main()
