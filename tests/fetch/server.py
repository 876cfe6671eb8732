"""A server on the loopback with a data set of drawn pictures, and what can go wrong with each of its files."""

import contextlib
import csv
import hashlib
import sys
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.answering import Answering

# Adds the set to the registry in a process of its own, then is the command.
COMMAND = """
import sys
from pathlib import Path
from fruitcnn.fetch import manifest, transfer
transfer.PAUSE = 0.01
manifest.SETS["drawn"] = manifest.RemoteSet(Path(sys.argv.pop(1)), sys.argv.pop(1), "Drawn by a program.")
import runpy
runpy.run_module("fruitcnn", run_name="__main__", alter_sys=True)
"""


class Handler(Answering):
    """Files with ranges, unless the server has a fault in store for the path."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def answer(self) -> None:
        name = unquote(self.path).removeprefix("/set/").partition("?")[0]
        self.server.times.append(time.monotonic())
        self.server.seen.append((name, self.headers.get("Range", "")))
        self.body = self.server.files.get(name, b"")
        faults = self.server.faults.get(name, [])
        fault = faults.pop(0) if len(faults) > 1 else (faults or ["whole" if self.body else "missing"])[0]
        getattr(self, fault.partition(" ")[0])(*fault.split(" ")[1:])

    def whole(self) -> None:
        self.server.gate.wait()
        time.sleep(self.server.pause)
        start = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if not start:
            self.send(self.body)
        elif int(start) >= len(self.body):
            self.send(b"", 416)
        else:
            rest = self.body[int(start) :]
            self.send(rest, 206, Content_Range=f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")

    def missing(self) -> None:
        self.send(b"not here", 404)

    def failing(self, status: str = "500", *after: str) -> None:
        self.send(b"oh", int(status), **({"Retry-After": " ".join(after)} if after else {}))

    def cut(self) -> None:
        self.close_connection = True
        self.send(self.body[: len(self.body) // 2], Content_Length=len(self.body))

    def unranged(self) -> None:
        self.send(self.body)

    def elsewhere_in_it(self) -> None:
        # Another part than was asked for.
        self.send(self.body[1:], 206, Content_Range=f"bytes 1-{len(self.body) - 1}/{len(self.body)}")

    def wrong(self) -> None:
        self.send(bytes(len(self.body)))

    def endless(self) -> None:
        self.close_connection = True
        self.send(self.body, Content_Length=10**11)
        for _ in range(1 << 12):
            self.wfile.write(bytes(1 << 16))

    def packed(self) -> None:
        self.send(self.body, Content_Encoding="gzip")

    def silent(self) -> None:
        self.close_connection = True
        time.sleep(3)

    def drip(self) -> None:
        self.close_connection = True
        self.send(b"", Content_Length=len(self.body))
        self.drop(self.body)

    def slow(self) -> None:
        # Not even the headers come to an end.
        self.close_connection = True
        self.drop(b"HTTP/1.1 200 OK\r\n" + b"X-Long: 1\r\n" * 500)

    def drop(self, data: bytes) -> None:
        for at in range(100):
            self.wfile.write(data[at : at + 1])
            time.sleep(0.05)

    def hop(self, left: str) -> None:
        here, _, target = self.path.partition("?")
        number = int(target or left)
        if number:
            self.send(b"x" * 99, 302, Location=f"{here}?{number - 1}")
        else:
            self.whole()

    def to(self, address: str) -> None:
        self.send(b"", 302, Location=address)


class Server(ThreadingHTTPServer):
    """files: by their paths; faults: what comes instead, one after the other, the last one for ever.

    seen: requests, and their times; no file is sent before the gate is open.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {file.relative_to(root).as_posix(): file.read_bytes() for file in sorted(root.glob("*/*"))}
        self.faults: dict[str, list[str]] = {}
        self.seen: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.pause, self.gate = 0.0, threading.Event()
        self.gate.set()

    def handle_error(self, *request: object) -> None:
        """Nothing is printed of clients that were killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/set"

    def write_manifest(self, path: Path, *, sizes: bool = True) -> Path:
        """The manifest of all files: every fourth of a class for validation, every fifth to test."""
        with path.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(("path", "label", "git_blob_sha1", "bytes", "duplicate_group", "split"))
            for number, (name, data) in enumerate(self.files.items()):
                blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
                split = "validation" if number % 4 == 1 else "test" if number % 5 == 2 else "train"
                size = len(data) if sizes else ""
                writer.writerow((name, name.partition("/")[0], blob, size, number, split))
        return path

    def command(self, manifest: Path, *words: object) -> list[str]:
        """`fruitcnn dataset fetch drawn ...`, in a process of its own."""
        rest = ["dataset", "fetch", "drawn", *map(str, words)]
        return [sys.executable, "-c", COMMAND, str(manifest), self.address, *rest]


@contextlib.contextmanager
def serving(root: Path) -> Iterator[Server]:
    """A server of the pictures in the class folders of `root`."""
    with Server(root) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def unlike(folder: Path, server: Server) -> list[str]:
    """What is wrong with a folder: files of the set that are not whole, and what else lies there."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if not file.is_dir()}
    extra = sorted(found.keys() - server.files.keys() - {"photos.csv"})
    return extra + [name for name, data in server.files.items() if name in found and found[name].read_bytes() != data]
