"""Photographs that are fetched: whatever the server, the disk or the person at the keys does, what is there is whole.

The server is a real one on the loopback; the proxies of the environment are left out.
"""

import contextlib
import email.utils
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fruitcnn.errors import FruitcnnError
from fruitcnn.fetch import fetch as fetching
from fruitcnn.fetch import manifest as manifests
from fruitcnn.fetch import transfer
from fruitcnn.fetch.fetch import Fetched, fetch
from fruitcnn.temporaries import is_temporary
from tests.faults.conftest import pictures, without_root_rights
from tests.fetch.server import Server, serving, unlike

Fetch = Callable[[], Fetched]
FIRST = "apple/picture_0.png"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Of twelve pictures of each of two classes."""
    monkeypatch.setenv("no_proxy", "*")
    for label in ("apple", "pear"):
        for path in pictures(tmp_path / "set" / label, 12):
            path.write_bytes(path.read_bytes() + label.encode() + os.urandom(20_000))
    with serving(tmp_path / "set") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "here"


@pytest.fixture
def fetched(server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetch:
    """Fetch the set into `folder`, in this process, without pauses to speak of."""
    monkeypatch.setattr(transfer, "PAUSE", 0.01)
    monkeypatch.setattr(transfer, "SILENCE", 1.0)
    known = manifests.RemoteSet(server.write_manifest(tmp_path / "manifest.csv"), server.address, "")
    monkeypatch.setitem(manifests.SETS, "drawn", known)
    return lambda: fetch("drawn", folder)


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        (["failing", "whole"], ["", ""]),
        (["failing 429 0", "failing 503 Thu, 01 Jan 1970 00:00:00 GMT", "whole"], ["", "", ""]),
        (["cut", "whole"], ["", "bytes=half-"]),
        (["cut", "cut", "unranged"], ["", "bytes=half-", "bytes=half-"]),
        (["cut", "elsewhere_in_it", "whole"], ["", "bytes=half-", ""]),
        (["cut", "wrong", "whole"], ["", "bytes=half-", ""]),
        (["wrong", "wrong", "whole"], ["", "", ""]),
        (["endless", "whole"], ["", ""]),
        (["silent", "whole"], ["", ""]),
        (["hop 5"], [""] * 6),
    ],
)
def test_a_fetch_gets_over_what_passes(faults: list[str], requests: list[str], server: Server, fetched: Fetch) -> None:
    server.faults[FIRST] = faults
    found = fetched()
    assert found.fetched == 24 and not found.missing and unlike(found.list.parent, server) == []
    half = str(len(server.files[FIRST]) // 2)
    seen = [wanted for name, wanted in server.seen if name == FIRST]
    assert seen == [wanted.replace("half", half) for wanted in requests]


@pytest.mark.parametrize(
    ("fault", "problem", "requests"),
    [
        ("missing", "the server answers 404 (Not Found)", 1),
        ("failing 599", "the server answers 599", 4),
        ("failing 503 3600", "the server answers 503 (Service Unavailable) and asks to wait for 3,600 seconds", 1),
        ("wrong", "has another content than the photograph had", 4),
        ("packed", "sent as gzip, which was not asked for", 1),
        ("silent", "no answer within 1 seconds", 4),
        ("hop 6", "redirected more than 5 times", 6),
        ("to file:///etc/passwd", "redirected to file://127.0.0.1/etc/passwd, which is not followed", 1),
        ("to http://127.0.0.1:1/x", "can't be reached (All connection attempts failed)", 4),
    ],
)
def test_a_photograph_that_never_comes_is_told_and_the_rest_is_there(
    fault: str, problem: str, requests: int, server: Server, fetched: Fetch
) -> None:
    server.faults[FIRST] = [fault]
    found = fetched()
    assert found.missing == {FIRST: problem} and unlike(found.list.parent, server) == []
    assert sum(name == FIRST for name, _ in server.seen) == requests
    assert f"missing {FIRST}: {problem}" in found.summary()
    del server.faults[FIRST]
    again = fetched()
    assert (again.fetched, again.there) == (1, 23) and not again.missing


@pytest.mark.parametrize("fault", ["drip", "slow"])
def test_a_server_that_drips_is_not_waited_for(
    fault: str, server: Server, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SILENCE", 0.2)
    monkeypatch.setattr(transfer, "SLOWEST", 200_000)
    server.faults[FIRST] = [fault]
    assert fetched().missing == {FIRST: "slower than 200,000 bytes a second"}


def test_a_redirect_never_gives_up_encryption() -> None:
    import asyncio

    import httpx

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "http://safe.example/x"})

    async def ask() -> None:
        request = httpx.Request("GET", "https://safe.example/x")
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with client, transfer._answer(client, request):
            pass

    with pytest.raises(transfer.TransferError, match=r"redirected to http://safe\.example/x, which"):
        asyncio.run(ask())


def test_a_pause_that_a_server_asks_for_holds_for_all(server: Server, fetched: Fetch) -> None:
    server.faults[FIRST] = ["failing 429 1", "whole"]
    assert not fetched().missing
    waits = [after - before for before, after in itertools.pairwise(server.times)]
    assert sum(wait > 0.7 for wait in waits) == 1 and len(server.seen) == 25, "somebody asked in that second"
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 28 < transfer._asked_pause(date) <= 30 and transfer._asked_pause("soon") == 0


def test_a_server_that_is_down_is_not_asked_a_thousand_times(
    server: Server, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "IN_A_ROW", 8)
    server.faults = {name: ["missing"] for name in server.files}
    found = fetched()
    assert len(found.missing) == 24 and len(server.seen) < 24
    assert "not asked for, after 8 others in a row had failed" in "".join(found.missing.values())


def test_what_has_a_photographs_name_is_never_replaced(server: Server, fetched: Fetch, folder: Path) -> None:
    (folder / "apple").mkdir(parents=True)
    mine, linked, folded = (folder / name for name in (FIRST, "apple/picture_1.png", "apple/picture_2.png"))
    mine.write_bytes(b"mine")
    linked.symlink_to("nowhere")
    folded.mkdir()
    os.mkfifo(folder / "apple/picture_3.png")
    found = fetched()
    assert set(found.missing) == {f"apple/picture_{number}.png" for number in range(4)} and found.fetched == 20
    assert set(found.missing.values()) == {"something else has this name; move it away"}
    assert mine.read_bytes() == b"mine" and linked.is_symlink() and not (folder / "apple/nowhere").exists()


def test_a_file_that_comes_while_its_photograph_is_fetched_stays(server: Server, fetched: Fetch, folder: Path) -> None:
    server.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(fetched)
        while not server.seen:
            time.sleep(0.005)
        (folder / FIRST).write_bytes(b"mine")
        server.gate.set()
    assert running.result().missing == {FIRST: "something else has this name; move it away"}
    assert (folder / FIRST).read_bytes() == b"mine" and running.result().fetched == 23


def test_a_fetch_onto_a_full_disk_leaves_whole_files(server: Server, tmp_path: Path) -> None:
    """A file may have 8,192 bytes: what is larger can't be written, and is told with its name."""
    small = [name for name in server.files if name.startswith("pear")]
    server.files.update({name: server.files[name][:5_000] for name in small})
    listed = server.write_manifest(tmp_path / "manifest.csv")
    done = subprocess.run(
        server.command(listed, "here"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192)),
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "here/apple/picture_" in done.stderr and "the file would be larger than is allowed" in done.stderr
    assert unlike(tmp_path / "here", server) == []
    done = subprocess.run(server.command(listed, "here"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and unlike(tmp_path / "here", server) == []


def test_a_fetch_into_a_folder_that_may_not_be_written_to_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir(mode=0o555)
    words = [*without_root_rights(), *server.command(server.write_manifest(tmp_path / "manifest.csv"), "here")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "permission denied; check its permissions" in done.stderr, done.stderr
    assert server.seen == [] and list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fetch_that_is_stopped_leaves_no_half_file_and_goes_on(
    number: signal.Signals, server: Server, tmp_path: Path
) -> None:
    server.pause = 0.2
    words = server.command(server.write_manifest(tmp_path / "manifest.csv"), "here")
    # A shell in the background ignores SIGINT, and children inherit that.
    running = subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while len(server.seen) < 12:
        time.sleep(0.005)
    server.gate.clear()
    running.send_signal(number)
    assert running.communicate()[1] == "" and running.returncode == 128 + number
    server.gate.set()
    assert unlike(tmp_path / "here", server) == [".fruitcnn.lock"]
    before = len(server.seen)
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and unlike(tmp_path / "here", server) == []
    assert len(server.seen) - before < 24, "what was there was fetched again"


def test_two_fetches_at_once_never_mix(server: Server, tmp_path: Path) -> None:
    server.gate.clear()
    words = server.command(server.write_manifest(tmp_path / "manifest.csv"), "here")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as first:
        while not server.seen:
            time.sleep(0.005)
        second = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        server.gate.set()
    assert second.returncode == 2 and f"here: process {first.pid} is working there; wait for it" in second.stderr
    assert first.returncode == 0 and unlike(tmp_path / "here", server) == []


def kill_often(server: Server, tmp_path: Path, kills: int) -> None:
    """Kill so many fetches, at random moments and with a failing server, then let one end."""
    numbers = random.Random(0)
    server.pause = 0.01
    words = server.command(server.write_manifest(tmp_path / "manifest.csv"), "here")
    killed = 0
    while killed < kills:
        if len(list((tmp_path / "here").glob("*/*.png"))) > 18:
            # So that there is always something to fetch.
            shutil.rmtree(tmp_path / "here" / numbers.choice(["apple", "pear"]))
        server.faults = {name: [numbers.choice(["cut", "failing", "wrong"]), "whole"] for name in server.files}
        asked, wanted = len(server.seen), numbers.randrange(1, 36)
        running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL)
        while running.poll() is None and len(server.seen) - asked < wanted:
            time.sleep(0.002)
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        killed += running.wait() == -signal.SIGKILL
        whole = [name for name in unlike(tmp_path / "here", server) if name in server.files]
        assert whole == [], "a file has its name and is not whole"
    # Seldom is one killed while it writes.
    (tmp_path / "here" / "apple").mkdir(parents=True, exist_ok=True)
    (tmp_path / "here" / "apple" / ".picture_0.0123abcd.fruitcnn-tmp.png").write_bytes(b"half")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "24 pictures" in done.stdout, done.stderr
    assert unlike(tmp_path / "here", server) == [], "a lock or a part is left"


def test_a_fetch_that_is_killed_ends_whole_when_run_again(server: Server, tmp_path: Path) -> None:
    kill_often(server, tmp_path, 3)


@pytest.mark.long
def test_a_fetch_that_is_killed_40_times_ends_whole(server: Server, tmp_path: Path) -> None:
    kill_often(server, tmp_path, 40)


def test_a_disk_that_is_full_in_the_middle_is_told(
    server: Server, fetched: Fetch, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        if sum(not is_temporary(picture) for picture in folder.glob("*/*.png")) > 9:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(FruitcnnError, match=r"picture_\d+\.png: the disk is full; make room"):
        fetched()
    monkeypatch.setattr(Path, "write_bytes", write)
    assert unlike(folder, server) == [] and fetched().there >= 9
