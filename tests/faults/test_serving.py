"""A server among hostile, slow, many and leaving clients, and among processes that die: no answer is lost or wrong."""

import contextlib
import fcntl
import http.client
import io
import json
import os
import pty
import random
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruitcnn.card import ModelCard
from fruitcnn.identify.identifier import Identifier
from tests.server.served import Served, answer_of, picture, serving, together, wait_until
from tests.tiny import CARD, write_tiny_model

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250)]
PICTURES = [picture(colour) for colour in COLOURS]
HEAD = b"POST /identify HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "colours"
    folder.mkdir()
    write_tiny_model(folder / "model.onnx")
    return folder


@pytest.fixture
def served(model: Path) -> Iterator[Served]:
    with serving(model, folder=model.parent) as server:
        yield server


def resident(process: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hostile_bodies(count: int) -> Iterator[bytes]:
    """Pictures of many kinds, cut, turned and filled with nonsense; and nonsense."""
    chance = random.Random(0)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8))
    files = []
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000"):
        file = io.BytesIO()
        image.save(file, kind)
        files.append(file.getvalue())
    for _ in range(count):
        data = bytearray(chance.choice(files))
        match chance.randrange(4):
            case 0:
                del data[chance.randrange(len(data)) :]
            case 1:
                for _ in range(chance.randrange(1, 20)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
            case 2:
                at = chance.randrange(12, len(data))
                data[at : at + chance.randrange(64)] = chance.randbytes(chance.randrange(64))
            case _:
                data = bytearray(chance.randbytes(chance.randrange(200)))
        yield bytes(data)


def test_hostile_bodies(served: Served, model: Path) -> None:
    identifier = Identifier.load(model)
    statuses: Counter[int] = Counter()
    with served.client() as client:
        for number, body in enumerate(hostile_bodies(1000)):
            as_form = number % 10 == 0
            files = [("picture", ("x", body))]
            answer = client.post("/identify", files=files) if as_form else client.post("/identify", content=body)
            statuses[answer.status_code] += 1
            row = answer.json()[0] if as_form else answer.json()
            with warnings.catch_warnings(action="ignore"):
                ((expected, _),) = identifier.observe_many([body], lambda data, picture: None)
            assert row == expected.to_dict() | {"file": "x" if as_form else "-"}
        assert client.post("/identify", content=PICTURES[0]).json()["identify_label"] == "red"
    assert set(statuses) == {200, 415, 422} and min(statuses.values()) > 50, statuses
    assert not [line for line in served.lines if "internal error" in line]


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"Content-Length: 100000000000\r\n\r\n",
        HEAD + b"Content-Length: 100000000000\r\nExpect: 100-continue\r\n\r\n",
        HEAD + b"Content-Length: 32000001\r\n\r\n" + bytes(1000),
    ],
)
def test_a_body_that_is_announced_as_too_large(served: Served, request_: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(request_)
        answer = answer_of(connection)
        assert answer.status == 413 and b"more than the limit of 32 MB" in answer.read()
        assert answer.getheader("Connection") == "close"
    assert served.metric("fruitcnn_held_bytes") == 0


def test_a_body_that_is_too_large_and_not_announced(served: Served) -> None:
    def chunks() -> Iterator[bytes]:
        while True:
            yield bytes(1_000_000)

    before = resident(served.process.pid)
    with served.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            for chunk in chunks():
                connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                sent += len(chunk)
        except OSError:
            pass
        assert sent < 200_000_000, "nobody reads for ever"
    assert resident(served.process.pid) - before < 100_000_000
    assert served.metric('fruitcnn_requests_total{route="identify",status="413"}') == 1


def test_an_answer_reaches_who_has_sent_too_much(served: Served) -> None:
    """A client that sends all before it reads gets the refusal, not a broken connection."""
    with served.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 40000000\r\n\r\n" + bytes(40_000_000))
        assert answer_of(connection).status == 413
    with served.connect() as connection:
        connection.sendall(
            HEAD.replace(b"/identify", b"/nothing") + b"Content-Length: 5000000\r\n\r\n" + bytes(5_000_000)
        )
        answer = answer_of(connection)
        assert answer.status == 404 and answer.read()
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(connection).status == 200, "and the connection goes on"


def test_half_sent_requests(served: Served) -> None:
    """Neither slow bodies nor slow heads keep anybody waiting, and none is kept for ever."""
    begun = {
        "body": HEAD + b"Content-Length: 1000\r\n\r\n" + PICTURES[0][:20],
        "form": HEAD + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n",
        "chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc",
        "head": b"POST /identify HTTP/1.1\r\nHost",
        "nothing": b"",
    }
    connections = {}
    for name, data in begun.items():
        for number in range(40):
            connection = connections[name, number] = served.connect()
            connection.sendall(data)
    with served.client() as client:
        for _ in range(50):
            assert client.post("/identify", content=PICTURES[1]).json()["identify_label"] == "green"
    for (name, _), connection in connections.items():
        if name in ("head", "nothing"):
            assert connection.recv(1) == b"", "closed"
        else:
            answer = answer_of(connection)
            assert answer.status == 408 and b"within 10 seconds" in answer.read()
        connection.close()
    assert served.metric("fruitcnn_held_bytes") == 0


def test_a_head_that_never_ends_on_a_used_connection(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert answer_of(connection).status == 415
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 30:
                connection.sendall(b"G" if time.monotonic() - begin < 0.1 else b"x")
                time.sleep(0.5)
        except OSError:
            return
    raise AssertionError("still open after 30 seconds")


def test_clients_that_leave(served: Served) -> None:
    for number in range(100):
        with served.connect() as connection:
            body = PICTURES[0] if number % 2 else PICTURES[0][:9]
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURES[0]) + body)
    with served.client() as client:
        assert client.post("/identify", content=PICTURES[2]).json()["identify_label"] == "blue"
    assert served.metric("fruitcnn_held_bytes") == served.metric("fruitcnn_waiting_pictures") == 0
    assert not [line for line in served.lines if "error" in line]


@pytest.mark.parametrize("path", ["/identify", "/large.bin"])
def test_clients_that_never_read(tmp_path: Path, path: str) -> None:
    """Whether an answer waits as a whole, to be closed behind, or in parts: it does not wait for ever."""
    labels = tuple(letter * 12_000_000 for letter in "abc") if path == "/identify" else CARD.labels
    write_tiny_model(tmp_path / "model.onnx", ModelCard(labels=labels, size=CARD.size))
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("the page")
    (tmp_path / "page" / "large.bin").write_bytes(bytes(30_000_000))
    with serving(tmp_path, folder=tmp_path) as server:
        files = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(files.iterdir()))
        method, body = ("POST", PICTURES[0]) if path == "/identify" else ("GET", b"")
        connections = [server.connect() for _ in range(5)]
        for connection in connections:
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
        wait_until(lambda: len(list(files.iterdir())) >= before + 5)
        wait_until(lambda: len(list(files.iterdir())) <= before)
        for connection in connections:
            connection.close()


def test_bytes_that_are_no_http(served: Served) -> None:
    chance = random.Random(1)
    lines = [b"POST /identify HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01" * 9]
    lines += [HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", HEAD + b"X: " + b"x" * 200_000]
    lines += [
        HEAD + b"Content-Length: 9" + b"9" * 5000 + b"\r\n\r\n",
        HEAD + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ]
    lines += [chance.randbytes(200) + b"\r\n\r\n" for _ in range(50)]
    for line in lines:
        with served.connect() as connection:
            connection.sendall(line)
            assert 400 <= answer_of(connection).status < 500, line[:100]
    with served.client() as client:
        assert client.get("/health").status_code == 200


def ask_all_the_time(server: Served, model: Path, clients: int, seconds: float) -> Counter[int]:
    """So many clients with a picture each, over and over; every answer is right or says to come back."""
    expected = [Identifier.load(model).identify(data).to_dict() | {"file": "-"} for data in PICTURES]
    statuses: Counter[int] = Counter()
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        with contextlib.closing(connection):
            while time.monotonic() < end:
                number += 1
                connection.request("POST", "/identify", PICTURES[number % 3])
                answer = connection.getresponse()
                data = answer.read()
                statuses[answer.status] += 1
                if answer.status == 200:
                    assert json.loads(data) == expected[number % 3]
                else:
                    assert answer.status == 429 and answer.getheader("Retry-After") == "1", (answer.status, data)
                    time.sleep(0.05)

    together(clients, client)
    return statuses


def test_saturation(served: Served, model: Path) -> None:
    statuses = ask_all_the_time(served, model, clients=16, seconds=3)
    assert set(statuses) == {200} and statuses[200] > 100


@pytest.mark.long
def test_saturation_for_a_minute_with_flat_memory(served: Served, model: Path) -> None:
    ask_all_the_time(served, model, clients=100, seconds=10)
    before = resident(served.process.pid)
    statuses = ask_all_the_time(served, model, clients=100, seconds=60)
    assert set(statuses) <= {200, 429} and statuses[200] > 5000
    assert resident(served.process.pid) - before < 10_000_000


def test_memory_that_stays(served: Served) -> None:
    """Large bodies leave nothing behind."""
    data = picture(side=1500, kind="BMP")

    def client(number: int) -> None:
        with served.client() as client:
            for _ in range(5):
                assert client.post("/identify", content=data).status_code == 200

    for _ in range(2):
        together(4, client)
    before = resident(served.process.pid)
    for _ in range(4):
        together(4, client)  # 135 MB
    assert resident(served.process.pid) - before < 60_000_000


def test_two_hundred_at_once(served: Served, model: Path) -> None:
    """As many as have a place are answered, the others are told when to come back; nobody waits in vain."""
    slow = picture(side=1200)
    expected = Identifier.load(model).identify(slow).to_dict() | {"file": "-"}
    statuses: Counter[int] = Counter()
    ready = threading.Barrier(200)

    def client(number: int) -> None:
        with served.connect() as connection:
            ready.wait()
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(slow) + slow)
            answer = answer_of(connection)
            statuses[answer.status] += 1
            data = answer.read()
            if answer.status == 200:
                assert json.loads(data) == expected
            else:
                assert answer.status == 429 and answer.getheader("Retry-After") == "1"

    together(200, client)
    assert statuses[200] >= 64 and sum(statuses.values()) == 200
    assert served.metric("fruitcnn_waiting_pictures") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_among_requests(model: Path, tmp_path: Path, workers: int) -> None:
    """What was sent is answered, who asks nothing is let go, and the server ends with success."""
    slow = picture(side=2000)
    with serving(model, "--workers", str(workers), folder=tmp_path) as server:
        idle, used = server.connect(), server.connect()
        used.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_of(used).read()
        connections = [server.connect() for _ in range(24)]
        for connection in connections:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(slow) + slow)
        # Until all are there; some may have been answered.
        server.wait_for("POST /identify 200")
        server.process.send_signal(signal.SIGTERM)
        answers = [answer_of(connection) for connection in connections]
        assert [answer.status for answer in answers] == [200] * 24
        assert all(b'"identify_label": "red"' in answer.read() for answer in answers)
        assert idle.recv(1) == b"" and used.recv(1) == b""
        for connection in (idle, used, *connections):
            connection.close()
        assert server.process.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_a_request_that_is_on_its_way_at_sigterm(served: Served) -> None:
    """A connection that was made before gets its first answer."""
    connection = served.connect()
    with served.client() as client:
        assert client.get("/health").status_code == 200
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(PICTURES[0]) + PICTURES[0])
    assert answer_of(connection).status == 200
    connection.close()
    assert served.process.wait(30) == 0


def test_a_killed_worker(model: Path, tmp_path: Path) -> None:
    """Another takes its place; so too for all at once; the counters go on."""
    with serving(model, "--workers", "2", folder=tmp_path) as server:
        assert len(server.workers()) == 2
        with server.client() as client:
            for _ in range(6):
                assert client.post("/identify", content=PICTURES[0]).status_code == 200
        # What was answered is counted a moment later, and not at all by who is killed before.
        answered = 'fruitcnn_requests_total{route="identify",status="200"}'
        wait_until(lambda: server.metric(answered) == 6)
        for count in (1, 2):
            victims = server.workers()[:count]
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            wait_until(lambda gone=victims: len(set(server.workers()) - set(gone)) == 2)
            with server.client() as client:
                assert client.post("/identify", content=PICTURES[0]).json()["identify_label"] == "red"
            wait_until(lambda so_far=6 + count: server.metric(answered) == so_far)
        assert server.end() == 0


def test_a_killed_supervisor(model: Path, tmp_path: Path) -> None:
    """Its workers do not outlive it: nobody answers, and the port is free."""
    with serving(model, "--workers", "2", folder=tmp_path) as server:
        workers = server.workers()
        server.end(signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_is_replaced_among_requests(model: Path, tmp_path: Path, workers: int) -> None:
    """On SIGHUP the new one answers, without a request lost; a broken one is refused, and the other goes on."""
    other = ModelCard(labels=("rouge", "vert", "bleu"), size=CARD.size, outputs=CARD.outputs)
    write_tiny_model(tmp_path / "other.onnx", other)
    with serving(model, "--workers", str(workers), folder=tmp_path) as server:
        labels: Counter[str] = Counter()
        over = threading.Event()

        def client(number: int) -> None:
            with server.client() as client:
                while not over.is_set():
                    answer = client.post("/identify", content=PICTURES[0])
                    assert answer.status_code == 200
                    labels[answer.json()["identify_label"]] += 1

        def replace(number: int) -> None:
            try:
                wait_until(lambda: labels["red"] > 5)
                server.process.send_signal(signal.SIGHUP)
                for _ in range(workers):
                    server.wait_for("loaded colours")
                assert set(labels) == {"red"}
                (tmp_path / "broken").write_bytes(b"broken")
                (tmp_path / "broken").replace(model / "model.onnx")
                server.process.send_signal(signal.SIGHUP)
                for _ in range(workers):
                    server.wait_for("the model is not replaced")
                (tmp_path / "other.onnx").replace(model / "model.onnx")
                server.process.send_signal(signal.SIGHUP)
                for _ in range(workers):
                    server.wait_for("loaded colours")
                before = labels["red"]
                wait_until(lambda: labels["rouge"] > 20)
                assert labels["red"] <= before + 4, "what was asked before"
            finally:
                over.set()

        together(5, lambda number: replace(number) if number == 4 else client(number))
        assert set(labels) == {"red", "rouge"}
        assert server.metric("fruitcnn_model_loads_total") == 3 * workers
        assert server.metric("fruitcnn_model_load_failures_total") == workers
        assert server.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_terminal_that_is_closed(model: Path, tmp_path: Path, workers: int) -> None:
    """The server ends with it: that is not the SIGHUP which asks for the model to be loaded."""
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "fruitcnn", "serve", str(model), "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(
        words,
        stdin=slave,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    assert process.stderr is not None
    with process.stderr:
        assert "answers on" in process.stderr.readline()
        os.close(master)
        assert process.wait(60) == 0


def test_a_worker_that_dies_when_its_model_is_gone(model: Path, tmp_path: Path) -> None:
    """Those that have it answer on, and a new one comes when the model is back."""
    with serving(model, "--workers", "2", folder=tmp_path) as server:
        workers = server.workers()
        shutil.move(model / "model.onnx", tmp_path / "kept.onnx")
        os.kill(workers[0], signal.SIGKILL)
        server.wait_for("model.onnx")
        with server.client() as client:
            assert client.post("/identify", content=PICTURES[0]).status_code == 200
        shutil.move(tmp_path / "kept.onnx", model / "model.onnx")
        before = server.metric("fruitcnn_model_loads_total")
        wait_until(lambda: server.metric("fruitcnn_model_loads_total") > before)
        assert workers[1] in server.workers() and server.end() == 0


def test_a_disk_that_can_not_be_written(model: Path, tmp_path: Path) -> None:
    """Large pictures in a form too: nothing is ever kept on disk."""
    with serving(model, folder=tmp_path, TMPDIR="/nonexistent") as server, server.client() as client:
        files = [("picture", ("x.bmp", picture(side=1000, kind="BMP")))] * 3
        assert [row["identify_label"] for row in client.post("/identify", files=files).json()] == ["red"] * 3


def test_only_loopback_is_listened_to(served: Served) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    assert f"0100007F:{served.port:04X}" in listening
    assert not [place for place in listening if place == f"00000000:{served.port:04X}"]
    assert socket.gethostbyname("localhost")
