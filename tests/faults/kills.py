"""kill -9 at chosen moments, and what is left: `python -m tests.faults.kills FOLDER KIND=COUNT ...`.

Libraries are imported once; each command then runs in a fork, which kills itself just before its n-th operation on a
file (n spread evenly over all that an undisturbed command has), or is killed after a random time. The same command
follows, undisturbed, and must end with the same files, no temporary and no lock. Prints one line of JSON.
"""

import csv
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from fruitcnn import checkpoint
from fruitcnn.config import Config, load_config
from fruitcnn.dataset.saved_split import write_split
from fruitcnn.dataset.scan import scan
from fruitcnn.errors import UsageError
from fruitcnn.export.exporter import export_checkpoint
from fruitcnn.export.onnx_graph import to_onnx
from fruitcnn.identify.identify_paths import identify_paths
from fruitcnn.identify.partial import partial_name
from fruitcnn.identify.request import Request
from fruitcnn.runs import stages
from fruitcnn.runs.folder import Claim
from fruitcnn.temporaries import remove_temporaries
from tests.networks import build

Work = Callable[[Path], None]
_OPERATIONS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.truncate", "fcntl.flock"}
# A network whose export takes a second.
_SETTINGS = [
    *("model.architecture=tests.networks:small", "data.size=16", "data.training_size=16"),
    *("train.epochs=2", "train.batch_size=8"),
]
RUN = Path("checkpoints", "killed")
OUTPUT = "answers.csv"


def train(folder: Path) -> None:
    """The command `train DATA -r quick --name killed`, with --resume where it says that the run needs that."""
    _train(load_config("quick", _SETTINGS, data=folder.parent / "data"), folder)


def train_last_layer(folder: Path) -> None:
    """The same with `-r features`."""
    _train(load_config("features", ["data.size=64"], data=folder.parent / "data"), folder)


def _train(config: Config, folder: Path, *, resume: bool = False) -> None:
    root = folder / RUN.parent
    try:
        stages.train_config(config, Claim(name=RUN.name, root=root, resume=resume), device="cpu", print_line=_quiet)
    except UsageError as error:
        if error.problem == "exists already":
            _train(config, folder, resume=True)
        elif error.problem != "is finished already":
            raise


def export_again(folder: Path) -> None:
    """The command `export checkpoints/killed`."""
    export_checkpoint(folder / RUN)


def fill_cache(folder: Path) -> None:
    """The part of `train` that decodes pictures into the cache; the data set that comes of it is a file here."""
    # As a run's folder is when it is claimed.
    remove_temporaries(folder)
    dataset = scan(folder.parent / "data", sizes=[16])
    write_split(dataset, folder / "found.csv")


def identify(folder: Path) -> None:
    """The command `identify DATA --output answers.csv --force`, where an older answers.csv lies; --resume if it can."""
    output = folder / OUTPUT
    request = Request(
        model=str(checkpoint.SHIPPED), format="csv", output=output, force=True, resume=partial_name(output).exists()
    )
    identify_paths([str(folder.parent / "data")], request)


COMMANDS: dict[str, Work] = {
    "train": train,
    "features": train_last_layer,
    "export": export_again,
    "cache": fill_cache,
    "identify": identify,
}


def run_killed(work: Work, folder: Path, *, at: int | None = None, after: float | None = None) -> int:
    """The status of `work` in a fork, as os.waitpid gives it; killed just before operation `at`, or `after` seconds."""
    child = os.fork()
    if child == 0:
        os.environ["FRUITCNN_CACHE"] = str(folder / "cache")
        counted = _die_at(at, folder)
        if after is not None:
            threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        try:
            work(folder)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        folder.with_suffix(".operations").write_text(str(len(counted)))
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _die_at(number: int | None, folder: Path) -> list[str]:
    """SIGKILL just before an operation on files below the folder; what is returned grows by each operation."""
    inside = f"{folder}/"
    counted: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _OPERATIONS and (event == "fcntl.flock" or str(arguments[0]).startswith(inside)):
            if len(counted) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            counted.append(event)

    sys.addaudithook(watch)
    return counted


def _quiet(line: str) -> None:
    pass


def prepare(kind: str, folder: Path) -> None:
    """What lies in the folder before the command."""
    folder.mkdir()
    if kind == "export":
        shutil.copytree(folder.parent / "reference" / RUN, folder / RUN)
    if kind == "identify":
        (folder / OUTPUT).write_text("older\n")


def content(folder: Path) -> dict[str, str | bytes]:
    """All files that a command is to leave, and of each what has to be equal."""
    found: dict[str, str | bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or checkpoint.LOGS in path.parts:
            continue
        if path.name == checkpoint.METRICS_BY_EPOCH:
            with path.open(newline="") as file:
                found[name] = json.dumps([row[:-1] for row in csv.reader(file)])  # all but the seconds
        elif path.name in (checkpoint.LAST, checkpoint.KERAS, checkpoint.CURVES):
            found[name] = ""  # archives with the time of their making, and a picture of the seconds' neighbours
        elif not name.startswith("cache/") or path.name.startswith("."):
            found[name] = path.read_bytes()
    return found


def trial(kind: str, folder: Path, wanted: dict[str, str | bytes], *, at: int | None, after: float | None) -> str:
    """One kill and the command again: "killed", "ended before", or what was wrong."""
    prepare(kind, folder)
    status = run_killed(COMMANDS[kind], folder, at=at, after=after)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        return f"the first command failed, {at=} {after=}"
    if kind == "identify" and (folder / OUTPUT).read_bytes() not in (b"older\n", wanted[OUTPUT]):
        return f"half an output, {at=} {after=}"
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    if run_killed(COMMANDS[kind], folder) != 0:
        return f"stuck, {at=} {after=}, after: {left}"
    found = content(folder)
    wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if wrong:
        return f"other than without the kill: {wrong}, {at=} {after=}, after: {left}"
    return "killed" if os.WIFSIGNALED(status) else "ended before"


def kill_often(kind: str, count: int, root: Path, numbers: random.Random) -> list[str]:
    """The outcomes of `count` trials of a command: two of three at a chosen operation, one after a random time."""
    undisturbed = root / ("reference" if kind == "train" else f"undisturbed-{kind}")
    if not undisturbed.exists():
        prepare(kind, undisturbed)
    start = time.monotonic()
    if run_killed(COMMANDS[kind], undisturbed) != 0:
        return ["the undisturbed command failed"]
    seconds = time.monotonic() - start
    operations = int(undisturbed.with_suffix(".operations").read_text())
    wanted = content(undisturbed)
    outcomes = []
    for number in range(count):
        folder = root / f"{kind}-{number}"
        aimed = number % 3 < 2
        at = int((number + numbers.random()) * operations / count) if aimed else None
        after = None if aimed else numbers.uniform(0, seconds)
        outcomes.append(trial(kind, folder, wanted, at=at, after=after))
        if after and outcomes[-1] == "ended before":
            seconds = after
        shutil.rmtree(folder)
    return outcomes


def main() -> None:
    """Before `export` there has to be a `train`, whose run it exports again."""
    root = Path(sys.argv[1])
    numbers = random.Random(0)
    # What the exporter imports late is imported here too, and not in each fork.
    to_onnx(build("plain"))
    outcomes = {}
    for argument in sys.argv[2:]:
        kind, count = argument.split("=")
        outcomes[kind] = kill_often(kind, int(count), root, numbers)
        print(kind, outcomes[kind], file=sys.stderr)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
