"""How much memory a body takes, and what its parts are called."""

import asyncio
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from fruitcnn.server.app import Service, Settings
from fruitcnn.server.bodies import HeldBytes, SentPicture, sent_pictures
from fruitcnn.server.counters import Board
from fruitcnn.server.served_model import ServedModel
from tests.server.test_counters import value

FORM = "multipart/form-data; boundary=b"


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts by what their Content-Disposition says beyond `form-data`."""
    head = "--b\r\nContent-Disposition: form-data; "
    return b"".join(f"{head}{said}\r\n\r\n".encode() + data + b"\r\n" for said, data in parts) + b"--b--\r\n"


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_form_is_held_once_and_parsed_with_one_copy(traced: None) -> None:
    size = 8_000_000
    body = form(('name="a"; filename="x"', bytes(size)))
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    sent = sent_pictures(FORM, body)
    peak = tracemalloc.get_traced_memory()[1] - before
    assert peak < 1.2 * size and sent == [SentPicture("x", bytes(size))]


def test_while_pictures_wait_their_form_is_gone(model: Path, traced: None) -> None:
    size = 8_000_000
    amounts: list[int] = []

    async def scenario() -> None:
        board = Board(1)
        counters = board.claim()
        file = model / "model.onnx"
        service = Service(Settings(file, 1, None, "text"), board, counters, ServedModel(file))
        before = tracemalloc.get_traced_memory()[0]
        messages = [form(('name="a"; filename="x"', bytes(size)))]

        async def receive() -> Message:
            if messages:
                return {"type": "http.request", "body": messages.pop(), "more_body": False}
            amounts.append(tracemalloc.get_traced_memory()[0] - before)
            await asyncio.Event().wait()
            raise AssertionError

        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", FORM.encode())]}
        answer = await service.identify(Request(scope, receive), None, explain=False)
        assert answer.status_code == 415 and service.held.total == 0
        service.queue.close()

    asyncio.run(scenario())
    assert len(amounts) == 1 and size < amounts[0] < 1.5 * size


def test_bytes_are_shown_as_they_are_held() -> None:
    board = Board(2)
    first, second = HeldBytes(board.claim().show_held), HeldBytes(lambda total: None)
    with first.lease() as lease, second.lease():
        lease.grow(5)
        lease.grow(6)
        assert value(board, "fruitcnn_held_bytes") == 11
    assert value(board, "fruitcnn_held_bytes") == 0


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('filename="x.png"', "x.png"),
        ("filename*=utf-8''Fr%C3%BCchte.png", "Früchte.png"),
        ("filename*=ISO-8859-1'de'Fr%FCchte.png", "Früchte.png"),
        ("filename*=utf-8''Fr%FCchte.png", "Fr\ufffdchte.png"),
        ("filename*=nothing\x00'x'a%00b", "a\0b"),
        ("filename=\"plain\"; filename*=utf-8''extended", "plain"),
        ("filename*=utf-8''a; filename=\"plain\"", "plain"),
    ],
)
def test_what_a_file_is_called(said: str, name: str) -> None:
    sent = sent_pictures(FORM, form(("name=other", b"field"), (f"name=a; {said}", b"file")))
    assert sent == [SentPicture(name, b"file")]
