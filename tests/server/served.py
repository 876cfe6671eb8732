"""`fruitcnn serve` as a process of its own, and who asks it."""

import contextlib
import http.client
import io
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from PIL import Image

RED = (250, 20, 20)


class Served:
    """A server that runs, and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        announced = self.wait_for("answers on http://")
        self.port = int(announced.partition("answers on http://")[2].partition(" ")[0].rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            self._new.put(line)

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """The next line that holds this text."""
        end = time.monotonic() + seconds
        while True:
            line = self._new.get(timeout=max(0.01, end - time.monotonic()))
            if text in line:
                return line

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False, headers=headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def metric(self, cell: str) -> float:
        """One number of /metrics."""
        with self.client() as client:
            text = client.get("/metrics").text
        (line,) = (line for line in text.splitlines() if line.startswith(f"{cell} "))
        return float(line.rpartition(" ")[2])

    def workers(self) -> list[int]:
        """The processes that answer where there are several: those that hold the listening socket."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
        return [pid for pid, command in commands.items() if b"spawn_main" in command]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


@contextlib.contextmanager
def serving(model: Path, *arguments: str, folder: Path, **environment: str) -> Iterator[Served]:
    """A server of a model on a free port; it is gone when the block ends."""
    words = [sys.executable, "-m", "fruitcnn", "serve", str(model), "--port", "0", *arguments]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=folder, env=os.environ | environment)
    server = None
    try:
        server = Served(process)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if server is not None:
            # Its workers have the stream, too.
            server.reader.join()
        assert process.stderr is not None
        process.stderr.close()


def picture(colour: tuple[int, int, int] = RED, side: int = 8, kind: str = "PNG") -> bytes:
    """A picture's file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


def answer_of(connection: socket.socket) -> http.client.HTTPResponse:
    """What comes over a connection, read to its end."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


def together(count: int, work: Callable[[int], None]) -> None:
    """Call `work` in so many threads; raises what one of them raised."""
    problems: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
