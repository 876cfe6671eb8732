"""Pictures behind http addresses: whatever a server does, each is a row, bounded in time and size, and no secret shows.

The server is a real one on the loopback; the proxies of the environment are left out.
"""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from fruitcnn import Identifier
from fruitcnn.errors import ImageError
from fruitcnn.identify import download
from fruitcnn.identify.addresses import is_address, shown_address
from tests.answering import Answering
from tests.conftest import REPOSITORY
from tests.faults.conftest import SAMPLE, Command, Model

GRAPE = (SAMPLE / "grape" / "grape_000.jpg").read_bytes()
DIRECT = {"no_proxy": "*"}


class Handler(Answering):
    """What the last part of a path says."""

    def answer(self) -> None:
        Server.seen.append((self.path, dict(self.headers)))
        getattr(self, self.path.partition("?")[0].strip("/").partition("/")[0].partition(".")[0], self.missing)()

    def missing(self) -> None:
        self.send(b"not here", 404)

    def grape(self) -> None:
        self.send(GRAPE, Content_Type="image/jpeg")

    def text(self) -> None:
        self.send(GRAPE, Content_Type="text/html")

    def page(self) -> None:
        self.send(b"<!doctype html><title>sign in</title>", Content_Type="text/html; charset=utf-8")

    def failing(self) -> None:
        self.send(b"oh", 500)

    def locked(self) -> None:
        known = self.headers["Authorization"] == "Basic YW5uYTpzMzpjcmV0"  # anna:s3:cret
        self.send(GRAPE if known else b"", 200 if known else 401)

    def hop(self) -> None:
        left = int(self.path.rpartition("/")[2])
        self.send(b"x" * 999, 302, Location=f"/hop/{left - 1}" if left > 1 else "/grape.jpg")

    def circle(self) -> None:
        self.send(b"", 301, Location="/circle")

    def endless(self) -> None:
        # A redirect whose own body never ends.
        self.send(b"", 302, Location="/grape.jpg", Content_Length=10**11)
        for _ in range(1 << 16):
            self.wfile.write(bytes(1 << 16))

    def elsewhere(self) -> None:
        self.send(b"", 302, Location=self.path.partition("?")[2])

    def huge(self) -> None:
        self.send(GRAPE, Content_Length=10**11)

    def unannounced(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1 << 16):
            self.wfile.write(bytes(1 << 16))

    def cut(self) -> None:
        self.send(GRAPE[:1000], Content_Length=len(GRAPE))

    def chunked(self) -> None:
        # Without the last chunk.
        self.protocol_version = "HTTP/1.1"
        self.send(b"3e8\r\n" + GRAPE[:1000] + b"\r\n", Transfer_Encoding="chunked", Connection="close")
        self.close_connection = True

    def silent(self) -> None:
        self.wfile.flush()

    def packed(self) -> None:
        self.send(gzip.compress(GRAPE), Content_Encoding="gzip")

    def half(self) -> None:
        self.send(gzip.compress(GRAPE)[:-500], Content_Encoding="gzip")

    def bomb(self) -> None:
        self.send(gzip.compress(bytes(download.LIMIT + 1)), Content_Encoding="gzip")

    def brotli(self) -> None:
        self.send(GRAPE, Content_Encoding="br")

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.drop(GRAPE)

    def slow(self) -> None:
        # Not even the headers come to an end.
        self.drop(b"HTTP/1.1 200 OK\r\n" + b"X-Long: 1\r\n" * 500)

    def drop(self, data: bytes) -> None:
        for at in range(200):
            self.wfile.write(data[at : at + 1])
            time.sleep(0.05)
        Server.seen.append(("all was sent", {}))


class Server(ThreadingHTTPServer):
    """Daemon threads: a handler that still drips keeps no test waiting."""

    daemon_threads = True
    block_on_close = False
    seen: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 (of one test at a time)


Address = Callable[[str], str]


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    """From a path to its address on a server of this test."""
    monkeypatch.setenv("no_proxy", "*")
    Server.seen = []
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda path: f"http://127.0.0.1:{server.server_port}/{path}"
        server.shutdown()


def failure(url: str) -> str:
    with pytest.raises(ImageError) as caught:
        download.download(url)
    assert caught.value.remedy
    return caught.value.problem


def test_pictures_behind_addresses_are_answered_like_files(
    address: Address, command: Command, tiny_model: Model, photo: Path
) -> None:
    names = [
        "grape.jpg",
        "text.png",
        "packed",
        "hop/5",
        "endless",
        "cut.jpg",
        "missing.jpg",
        "page.jpg",
        "grape?width=1",
    ]
    urls = [address(name) for name in names]
    model = tiny_model([0.7, 0.2, 0.1])
    done = command("identify", *urls, photo, "--model", model, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3 and [row["file"] for row in rows] == [*urls, str(photo)]
    errors = {name: row["error"] for name, row in zip(names, rows, strict=False) if "error" in row}
    assert errors == {
        "cut.jpg": f"cut off after 1,000 of {len(GRAPE):,} bytes; try again later",
        "missing.jpg": "the server answers 404 (Not Found); check the address",
        "page.jpg": "is a web page, not a picture; give the address of the picture itself",
    }
    assert all(row["probabilities"] == rows[-1]["probabilities"] for row in rows if "error" not in row)
    alone = command("identify", urls[0], "--model", model, "--format", "json", "--explain", "x")
    assert alone.returncode == 2 and "does not say where" in alone.stderr
    assert len(Server.seen) == 9 + 5 + 1, "before anything is fetched"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("failing", "the server answers 500 (Internal Server Error)"),
        ("locked", "the server answers 401 (Unauthorized)"),
        ("hop/6", "redirected more than 5 times"),
        ("circle", "redirected more than 5 times"),
        ("huge", "has 100,000,000,000 bytes, more than the limit of 100 MB"),
        ("unannounced", "has more than 100,000,000 bytes, more than the limit of 100 MB"),
        ("chunked", "cut off by the server"),
        ("silent", "cut off by the server"),
        ("half", "cut off within its gzip"),
        ("bomb", "has more than 100,000,000 bytes, more than the limit of 100 MB"),
        ("brotli", "sent as br, which was not asked for"),
    ],
)
def test_what_a_server_does_wrong_is_told(path: str, problem: str, address: Address) -> None:
    assert failure(address(path)) == problem


@pytest.mark.parametrize("path", ["drip", "slow"])
def test_a_server_that_drips_is_left_when_the_time_is_up(
    path: str, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.5)
    assert failure(address(path)) == "not all there after 0 seconds"
    assert [what for what, _ in Server.seen] == [f"/{path}"]


def test_no_redirect_leads_out_of_the_web(address: Address, photo: Path) -> None:
    for target in (
        f"file://{photo}",
        "ftp://127.0.0.1/x",
        "data:image/png;base64,AAAA",
        "http://me:secret@127.0.0.1/x",
    ):
        problem = failure(address(f"elsewhere?{target}"))
        assert problem.startswith("redirected to ") and problem.endswith("which is not followed")
        assert "secret" not in problem
    with pytest.raises(ImageError, match="not followed"):
        download._redirected("https://safe.example/x", "http://safe.example/x")
    assert download._redirected("http://a.example/x/y", "https://b.example/\xfc") == "https://b.example/%FC"
    assert download._redirected("http://a.example/x/y", "z") == "http://a.example/x/z"


def test_pictures_behind_addresses_are_sorted_too(address: Address, command: Command, tiny_model: Model) -> None:
    urls = [address(name) for name in ("text", "grape.jpg?a=1", "missing.jpg")]
    model = tiny_model([0.7, 0.2, 0.1])
    done = command("identify", *urls, "--model", model, "--sort", "sorted")
    found = sorted((model.parent / "sorted" / "grape").iterdir())
    assert done.returncode == 3 and [file.name for file in found] == ["grape.jpg_a=1.jpg", "text.jpg"]
    assert all(file.read_bytes() == GRAPE for file in found)


def test_other_schemes_are_paths_and_fetch_nothing(command: Command, tiny_model: Model, photo: Path) -> None:
    names = [f"file://{photo}", "ftp://127.0.0.1/x.jpg", "data:image/png;base64,AAAA"]
    done = command("identify", *names, "--model", tiny_model([0.7, 0.2, 0.1]), "--format", "json")
    assert [json.loads(line)["error"] for line in done.stdout.splitlines()] == ["no such file; check the path"] * 3


def test_addresses_that_lead_nowhere_are_told() -> None:
    for url in ("http://", "http://:80/x", "http://a..b/x", "http://host:99999999/", "http://[::1/x", "https://x:y/"):
        assert failure(url) == "is no address that can be asked for"
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    assert failure(f"http://127.0.0.1:{port}/x") == "can't be reached (Connection refused)"


def test_a_password_reaches_its_server_and_no_screen(address: Address, command: Command, tiny_model: Model) -> None:
    here = address("locked/grape.jpg")
    secret = here.replace("http://", "http://anna:s3%3Acret@") + "?size=9&X-Amz-Signature=s3cret&token=s3cret"
    wrong = address("missing").replace("http://", "http://anna:s3/cret@")
    away = address("elsewhere").replace("http://", "http://anna:s3cret@") + f"?{address('grape.jpg')}"
    model = tiny_model([0.7, 0.2, 0.1])
    for form in ("json", "table", "csv"):
        done = command("identify", secret, wrong, away, "--model", model, "--format", form, "--verbose")
        assert done.returncode == 3 and "cret" not in done.stdout + done.stderr
        assert f"{here}?size=9&X-Amz-Signature=...&token=..." in done.stdout
    known = {path.partition("?")[0]: (path, headers.get("Authorization")) for path, headers in Server.seen}
    assert "token=s3cret" in known["/locked/grape.jpg"][0] and known["/elsewhere"][1] and not known["/grape.jpg"][1]


def test_a_proxy_of_the_environment_is_asked(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", address(""))
    with pytest.raises(ImageError, match="404"):
        download.download("http://nowhere.example/grape.jpg")
    assert Server.seen[0][0] == "http://nowhere.example/grape.jpg"


def test_addresses_are_shown_without_secrets() -> None:
    for address, shown in {
        "HTTP://a:b@host/x?y=1#z": "HTTP://host/x?y=1#z",
        "https://a@host:80/@b/c": "https://host:80/@b/c",
        "https://host:80/@b/c": "https://host:80/@b/c",
        "http://[::1]:80/@b": "http://[::1]:80/@b",
        "https://a:b#c@host/x": "https://host/x",
        "https://host/x?a=1&api_key=k&b=2": "https://host/x?a=1&api_key=...&b=2",
        "plain?token=1.jpg": "plain?token=...",
    }.items():
        assert shown_address(address) == shown if is_address(address) else not is_address(address)


def test_only_the_command_line_fetches(address: Address) -> None:
    identifier = Identifier.load(REPOSITORY / "checkpoints" / "fruits", once=True)
    with pytest.raises(ImageError, match="is an address, not a file; download it first"):
        identifier.identify(address("grape.jpg"))
    assert not Server.seen
