"""Parts worked off by Dask Distributed: a cluster of this machine's cores, or one that is there.

A task is a range of names; neither pictures nor answers travel. Dask gives a task whose worker died to another one; one
that ends several is looked into, down to the picture that does it.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, Nanny, Scheduler, Security, SpecCluster, Worker, as_completed
from distributed.comm.core import CommClosedError

from fruitcnn.cluster.parts import Counts, Job
from fruitcnn.errors import FruitcnnError, UsageError, system_error

# Tasks for each thread of the workers: one at work, and one for when that is done.
_TASKS_A_THREAD = 2
# How many times a task's worker may die before the task is looked into.
_FAILURES = 1
# Nobody looks at what Dask's own watching would find of these processes, which takes a tenth of the workers' time.
_UNWATCHED = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.system-monitor.interval": "10s",
}
# A worker that a busy machine takes longer than 15 s to start again is not lost: its own Nanny is at it.
_PATIENT = {"distributed.deploy.lost-worker-timeout": "1 day"}
_PIECES = 16
# How many times a part is looked into that goes on ending its worker.
_ROUNDS = 3
_SECONDS_TO_CONNECT = 10
# How long a cluster may have no worker at all while tasks wait: more may be on their way.
SECONDS_WITHOUT_WORKERS = 300.0
_SECONDS_BETWEEN_LOOKS = 0.02
_GONE = (concurrent.futures.CancelledError, CommClosedError, TimeoutError)


class _Unserved:
    """Nothing to look at over HTTP: a Dask node opens a port for that, asked or not."""

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        pass


class QuietScheduler(_Unserved, Scheduler):
    """A scheduler that listens for its workers and clients alone."""


class QuietWorker(_Unserved, Worker):
    """A worker that listens for its scheduler and the other workers alone."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A range of names of a folder of parts. id: of the folder's manifest. fatal: names that end who reads them."""

    folder: str
    id: str
    low: int
    high: int
    fatal: tuple[int, ...] = ()
    insist: bool = False


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """So many worker processes of a thread each, on the loopback alone, encrypted: no other user can join."""
    _start_quiet_tracker()
    security = Security.temporary()
    node = {"host": "127.0.0.1", "protocol": "tls://", "security": security}
    worker = {
        "cls": Nanny,
        "options": {
            **node,
            "worker_class": QuietWorker,
            "nthreads": 1,
            # Nothing is kept between tasks; what one takes, the decoder's own budget bounds.
            "memory_limit": 0,
            "dashboard": False,
            "silence_logs": logging.CRITICAL,
        },
    }
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": _FAILURES, **_UNWATCHED, **_PATIENT}),
        SpecCluster(
            scheduler={"cls": QuietScheduler, "options": {**node, "port": 0, "dashboard": False}},
            workers=dict.fromkeys(range(workers), worker),
            security=security,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, security=security) as client,
    ):
        yield client


def _start_quiet_tracker() -> None:
    """Start the process that tidies up behind multiprocessing, without its warning when a signal ends this one."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = f"{before or ''},ignore::UserWarning:multiprocessing.resource_tracker".lstrip(",")
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextlib.contextmanager
def joined_cluster(address: str) -> Iterator[Client]:
    """A cluster that is there; certificates are those of Dask's own configuration. Raises UsageError."""
    try:
        client = Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        remedy = "check the address, and the certificates in Dask's configuration"
        raise UsageError(f"no Dask scheduler is reached ({error})", value=address, remedy=remedy) from error
    with client:
        yield client


def write_with_dask(
    client: Client, folder: Path, id: str, ranges: Iterable[tuple[int, int]], watch: Callable[[Counts], None]
) -> None:
    """Write the parts of these ranges of names; a picture that ends its worker becomes a row with the error.

    watch: is told of each part. Raises what writing a part raises, and FruitcnnError where the cluster is gone.
    """
    tasks = (Task(os.fspath(folder.absolute()), id, low, high) for low, high in ranges)
    killed: list[Task] = []
    others: list[Task] = []

    def settle(task: Task, outcome: Counts | KilledWorker | None) -> None:
        if isinstance(outcome, KilledWorker):
            killed.append(task)
        elif outcome is None:
            others.append(dataclasses.replace(task, insist=True))
        else:
            watch(outcome)

    with _naming_what_is_gone():
        for task, outcome in _outcomes(client, write_part, tasks):
            settle(task, outcome)
        for task, outcome in _outcomes(client, write_part, iter(others)):
            settle(task, outcome)
        for task in killed:
            watch(_without_fatal(client, task))


def write_part(task: Task) -> Counts | None:
    """What a worker does for a part: see `Job.write_part`."""
    try:
        return _job(task.folder, task.id).write_part(task.low, task.high, fatal=task.fatal, insist=task.insist)
    except OSError as error:
        raise system_error(error, FruitcnnError) from error


def read_names(task: Task) -> None:
    """The same without writing anything: whether a worker survives these pictures."""
    for _ in _job(task.folder, task.id).identify(task.low, task.high, task.fatal):
        pass


@functools.lru_cache(maxsize=1)
def _job(folder: str, id: str) -> Job:
    """A worker loads a model once. id: a folder that was begun anew is another."""
    job = Job(Path(folder), threads=1)
    if job.manifest.id != id:
        problem = "is another folder to the workers than to the command"
        raise UsageError(problem, value=folder, remedy="give one that all machines share")
    return job


def _without_fatal(client: Client, task: Task) -> Counts:
    """Write a part that ended its workers, without the pictures that do that, which are found here."""
    fatal: set[int] = set()
    for _ in range(_ROUNDS):
        fatal |= _fatal(client, dataclasses.replace(task, fatal=tuple(sorted(fatal))))
        again = dataclasses.replace(task, fatal=tuple(sorted(fatal)), insist=True)
        ((_, outcome),) = _outcomes(client, write_part, iter([again]))
        if not isinstance(outcome, KilledWorker):
            return Counts(outcome)
    problem = f"pictures {task.low + 1:,} to {task.high:,} of its list end their worker, but none of them alone"
    raise FruitcnnError(problem, value=task.folder, remedy="give the workers more memory, and run again")


def _fatal(client: Client, task: Task) -> set[int]:
    """The names of a part whose reading ends a worker: its sixteenths are tried, of those that do so each name."""
    size = -(-(task.high - task.low) // _PIECES)
    pieces = _killers(client, _split(task, size))
    suspects = _killers(client, (one for piece in pieces for one in _split(piece, 1)))
    # A worker that died had others waiting, which Dask blames too: each is tried with nothing else at work.
    return {one.low for suspect in suspects for one in _killers(client, iter([suspect]))}


def _killers(client: Client, tasks: Iterator[Task]) -> list[Task]:
    return [task for task, outcome in _outcomes(client, read_names, tasks) if isinstance(outcome, KilledWorker)]


def _split(task: Task, size: int) -> Iterator[Task]:
    ranges = ((low, min(low + size, task.high)) for low in range(task.low, task.high, size))
    return (dataclasses.replace(task, low=low, high=high) for low, high in ranges)


def _outcomes(
    client: Client, function: Callable[[Task], Any], tasks: Iterator[Task]
) -> Iterator[tuple[Task, Any | KilledWorker]]:
    """Each task with what came of it, as they are done. However many there are, few are under way at a time."""
    under_way: dict[Future[Any], Task] = {}
    completed = as_completed()

    def fill() -> None:
        # Workers come and go.
        room = _TASKS_A_THREAD * max(1, sum(client.nthreads().values())) - len(under_way)
        for _ in range(room):
            if (task := next(tasks, None)) is None:
                return
            future = client.submit(function, task, pure=False)
            under_way[future] = task
            completed.add(future)

    fill()
    while under_way:
        _await_one(client, completed)
        future = next(completed)
        task = under_way.pop(future)
        error = future.exception()
        if error is not None and not isinstance(error, KilledWorker):
            client.cancel(list(under_way))
            raise error
        outcome = future.result() if error is None else error
        # Dask forgets a result with its last future.
        del future
        fill()
        yield task, outcome


def _await_one(client: Client, completed: as_completed) -> None:
    """Return once a task is done. Raises FruitcnnError where no worker is there to do any: Dask would wait for ever."""
    alive = looked = time.monotonic()
    while not completed.has_ready():
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        if (now := time.monotonic()) < looked + 1:
            continue
        looked = now
        if client.nthreads():
            alive = now
        elif now > alive + SECONDS_WITHOUT_WORKERS:
            raise FruitcnnError("has no worker left", value="the cluster", remedy="run the same command again")


@contextlib.contextmanager
def _naming_what_is_gone() -> Iterator[None]:
    try:
        yield
    except _GONE as error:
        problem = f"is gone ({type(error).__name__})"
        raise FruitcnnError(problem, value="the cluster", remedy="start it, and run the same command again") from error
