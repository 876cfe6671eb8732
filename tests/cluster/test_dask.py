"""Parts worked off by a real Dask on this machine: killed workers, a killed command, a deadly picture, a full disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fruitcnn.cluster.merge import merge
from tests.cluster.conftest import COLOURS, fill
from tests.conftest import REPOSITORY, Run
from tests.tiny import write_picture

PRELOAD = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps(["tests.cluster.workers"])}
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tiny: Path, tmp_path: Path) -> Iterator[Start]:
    """Start `fruitcnn identify SOURCES --output out/ --per-part 8 --engine dask --workers 2`; nothing of it stays."""
    started = []

    def run(*sources: object, output: str = "out/") -> subprocess.Popen[bytes]:
        words = [
            "identify",
            *sources,
            "-m",
            tiny,
            "-o",
            output,
            "--per-part",
            "8",
            "--engine",
            "dask",
            "--workers",
            "2",
        ]
        command = [sys.executable, "-m", "fruitcnn", *map(str, words)]
        environment = {**os.environ, **PRELOAD, "PYTHONPATH": str(REPOSITORY)}
        started.append(
            subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=environment, start_new_session=True)
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """40 pictures that take a tenth of a second each."""
    for number in range(40):
        write_picture(tmp_path / "photos" / f"slow_{number}.png", COLOURS[number % 5])
    return tmp_path / "photos"


def await_parts(process: subprocess.Popen[bytes], folder: Path, count: int = 1) -> list[Path]:
    while len(found := sorted(folder.glob("part-*"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return found


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


def rows(folder: Path) -> str:
    merge(folder, folder.with_suffix(".csv"), force=True)
    return folder.with_suffix(".csv").read_text()


def without_engine(source: Path, model: Path, tmp_path: Path) -> str:
    fill(tmp_path / "plain", source, model=model)
    return rows(tmp_path / "plain")


def test_rows_by_workers_are_those_without_them_and_nothing_listens_beyond_the_loopback(
    photos: Path, tiny: Path, tmp_path: Path
) -> None:
    words = ["identify", photos, "-m", tiny, "-o", "out/", "--per-part", "8", "--engine", "dask", "--workers", "2"]
    command = ["unshare", "--net", sys.executable, "-m", "tests.cluster.listeners", sys.executable, "-m", "fruitcnn"]
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace may be made here")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([*command, *map(str, words)], cwd=tmp_path, env=environment, capture_output=True, check=True)
    found = json.loads(done.stdout)
    # It needs no network, and asks for nothing there.
    assert found["status"] == 3 and found["beyond"] == [] and found["everywhere"] == []
    # The scheduler, and of each worker itself and who restarts it; no page over HTTP, on no port.
    assert len(found["ports"]) == 1 + 2 * 2 and 8787 not in found["ports"]
    assert rows(tmp_path / "out") == without_engine(photos, tiny, tmp_path)


def test_a_killed_worker_costs_nothing(slow: Path, start: Start, tiny: Path, tmp_path: Path) -> None:
    process = start(slow)
    await_parts(process, tmp_path / "out")
    workers_of(process)[0].kill()
    assert process.communicate()[1].decode().count("\n") == 1 and process.returncode == 0
    assert rows(tmp_path / "out") == without_engine(slow, tiny, tmp_path)
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.long
def test_a_killed_command_leaves_whole_parts_and_no_worker_and_the_next_goes_on(
    slow: Path, start: Start, tiny: Path, tmp_path: Path
) -> None:
    process = start(slow)
    (first, *_) = await_parts(process, tmp_path / "out")
    written, workers = first.stat().st_mtime_ns, workers_of(process)
    process.kill()
    assert workers and not psutil.wait_procs(workers, timeout=30)[1]
    assert start(slow).wait() == 0
    assert first.stat().st_mtime_ns == written
    assert rows(tmp_path / "out") == without_engine(slow, tiny, tmp_path)
    assert not list((tmp_path / "out").glob(".*"))


def test_a_picture_that_kills_its_worker_becomes_a_row(photos: Path, start: Start, tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "a", tmp_path / "photos")
    wanted = without_engine(tmp_path / "photos", tiny, tmp_path)
    deadly = tmp_path / "photos" / "photo_20_deadly.png"
    write_picture(deadly, (255, 0, 0))
    process = start(tmp_path / "photos")
    assert process.communicate()[1].decode().count("\n") == 1 and process.returncode == 3
    lines = rows(tmp_path / "out").splitlines()
    (row,) = [line for line in lines if deadly.name in line]
    assert "broken picture (reading it ends the process)" in row
    assert sorted(line for line in lines if line != row) == sorted(wanted.splitlines())


@pytest.mark.long
def test_a_full_disk_is_one_line_and_the_next_command_goes_on(
    slow: Path, start: Start, tiny: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False).returncode:
        pytest.skip("a small disk may not be mounted here")
    try:
        (disk / "filler").write_bytes(bytes(40_000))
        process = start(slow, output="disk/out/")
        message = process.communicate()[1].decode()
        assert process.returncode == 1 and message.count("\n") == 1 and "the disk is full; make room" in message
        assert "Traceback" not in message and not list((disk / "out").glob(".*"))
        (disk / "filler").unlink()
        assert start(slow, output="disk/out/").wait() == 0
        assert rows_at(disk / "out", tmp_path) == without_engine(slow, tiny, tmp_path)
    finally:
        subprocess.run(["umount", disk], check=True)


def rows_at(folder: Path, tmp_path: Path) -> str:
    merge(folder, tmp_path / "of_the_disk.csv")
    return (tmp_path / "of_the_disk.csv").read_text()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_ends_with_its_workers_and_without_a_word(
    number: signal.Signals, slow: Path, start: Start, tmp_path: Path
) -> None:
    process = start(slow)
    await_parts(process, tmp_path / "out")
    workers = workers_of(process)
    # As a terminal does: all of the group.
    os.killpg(process.pid, number)
    assert process.communicate(timeout=30)[1] == b"" and process.returncode == 128 + number
    assert not psutil.wait_procs(workers, timeout=30)[1]


def printed(code: str, tmp_path: Path, **environment: str) -> str:
    """What a script of its own prints; a worker process imports it again."""
    lines = ["import time", "from fruitcnn.cluster import dask_engine", "if __name__ == '__main__':"]
    (tmp_path / "script.py").write_text("\n".join(lines) + textwrap.indent(textwrap.dedent(code), "    "))
    environment |= {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, timeout=120, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tasks_that_no_worker_is_left_for_are_no_wait_for_ever(tmp_path: Path) -> None:
    code = """
    dask_engine.SECONDS_WITHOUT_WORKERS = 2
    with dask_engine.local_cluster(1) as client:
        tasks = iter([dask_engine.Task("", "", 0, 1), dask_engine.Task("", "", 9, 9)])
        outcomes = dask_engine._outcomes(client, lambda task: time.sleep(task.low), tasks)
        next(outcomes)
        client.cluster.scale(0)
        try:
            next(outcomes)
        except dask_engine.FruitcnnError as error:
            print(error)
    """
    assert printed(code, tmp_path) == "the cluster: has no worker left; run the same command again\n"


def test_a_worker_that_is_slow_to_start_again_is_not_given_up(tmp_path: Path) -> None:
    """Dask gives one up after 15 seconds, of which a busy machine can make it take more; here after a moment."""
    code = """
    import os, signal
    with dask_engine.local_cluster(1) as client:
        first = client.submit(os.getpid, pure=False).result()
        os.kill(first, signal.SIGKILL)
        print(client.submit(os.getpid, pure=False).result(timeout=100) != first)
    """
    assert printed(code, tmp_path, DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT="10ms") == "True\n"


def test_no_scheduler_at_the_address(cli: Run, photos: Path, tiny: Path) -> None:
    done = cli("identify", photos, "-m", tiny, "-o", "out/", "--engine", "dask", "--address", "tcp://127.0.0.1:9")
    assert done.returncode == 2 and "tcp://127.0.0.1:9: no Dask scheduler is reached" in done.stderr
