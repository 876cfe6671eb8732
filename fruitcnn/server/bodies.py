"""A request's body, in memory and within limits, and the pictures in it."""

import asyncio
import contextlib
import dataclasses
import email.message
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from fruitcnn.identify.inputs import STDIN
from fruitcnn.server.http_error import HttpError
from fruitcnn.server.limits import BODY_BYTES, BODY_SECONDS, HELD_BYTES, PICTURES

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_FORM = b"multipart/form-data"


@dataclasses.dataclass(frozen=True)
class SentPicture:
    """A picture as it was sent: what its sender calls it (`-` for a body that is one), and its file's bytes."""

    name: str
    data: bytes


class HeldBytes:
    """How many bytes of bodies are in memory, all requests of this process together.

    tell: called with their number, whenever it changes.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.total = 0
        self._tell = tell

    @contextlib.contextmanager
    def lease(self) -> Iterator["Lease"]:
        """A place for one body, given back when the block ends."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.change(-lease.amount)

    def change(self, amount: int) -> None:
        """Hold so many bytes more, or less."""
        self.total += amount
        self._tell(self.total)


class Lease:
    """The bytes of one body."""

    def __init__(self, held: HeldBytes) -> None:
        self._held = held
        self.amount = 0

    def grow(self, amount: int) -> None:
        """Hold so many bytes more. Raises HttpError where one or all bodies together have too many."""
        self.amount += amount
        self._held.change(amount)
        if self.amount > BODY_BYTES:
            raise _too_large(f"more than {BODY_BYTES:,}")
        if self._held.total > HELD_BYTES:
            raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, "too much is being sent at once", "try again later")


def check_head(request: Request) -> None:
    """Refuse by a request's head what its body can't make good. Raises HttpError."""
    announced = request.headers.get("content-length", "0")
    if int(announced) > BODY_BYTES:
        raise _too_large(f"{int(announced):,}")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "its body is packed", "send the picture's file as it is")


async def read_body(request: Request, lease: Lease) -> bytes:
    """The whole body. Raises HttpError where it is too long or too slow, ClientDisconnect where it ends before."""
    chunks = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                lease.grow(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        problem = f"the body was not there within {BODY_SECONDS:.0f} seconds"
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT, problem, "send a smaller picture, or over a faster line") from None
    return b"".join(chunks)


def sent_pictures(content_type: str, body: bytes) -> list[SentPicture] | SentPicture:
    """The files of a form, in their order; any other body is one picture, whatever it calls itself.

    Raises HttpError for a form that is damaged, or has no files or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind != _FORM:
        return SentPicture(STDIN, body)
    form = _Form()
    try:
        parser = MultipartParser(options.get(b"boundary", b""), form.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        form.is_whole = False
    if not form.is_whole:
        raise HttpError(HTTPStatus.BAD_REQUEST, "the form is damaged or cut off", "send it again")
    if not form.pictures:
        raise HttpError(HTTPStatus.BAD_REQUEST, "no file in the form", "send pictures as files (curl -F picture=@FILE)")
    return form.pictures


class _Form:
    """Collects the files that a parser finds; what is no file is passed over."""

    def __init__(self) -> None:
        self.pictures: list[SentPicture] = []
        self.is_whole = False
        self._parts = 0
        self._header = self._value = b""
        self._name: str | None = None
        self._data: list[memoryview] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._field,
            "on_header_value": self._more_value,
            "on_header_end": self._end_header,
            "on_part_data": self._more_data,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > PICTURES:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {PICTURES} parts in the form", "send several requests"
            )
        self._name, self._data = None, []

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _more_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = _file_name(self._value)
        self._header = self._value = b""

    def _more_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            # A copy would be a third one of the body.
            self._data.append(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._name is not None:
            self.pictures.append(SentPicture(self._name, b"".join(self._data)))

    def _end_form(self) -> None:
        self.is_whole = True


def _file_name(disposition: bytes) -> str | None:
    """What a part's file is called; None for a part that is no file."""
    plain = parse_options_header(disposition)[1].get(b"filename")
    if plain is not None:
        return plain.decode("utf-8", "replace")
    # As RFC 5987 has it (filename*=utf-8''...): RFC 7578 forbids it in forms, and some send it.
    head = email.message.Message()
    head["content-disposition"] = disposition.decode("latin-1")
    extended = head.get_param("filename", header="content-disposition")
    if not isinstance(extended, tuple):
        return None
    coding = "latin-1" if (extended[0] or "").lower() == "iso-8859-1" else "utf-8"
    return extended[2].encode("latin-1", "replace").decode(coding, "replace")


def _too_large(size: str) -> HttpError:
    problem = f"the body has {size} bytes, more than the limit of {BODY_BYTES / 1e6:,.0f} MB"
    return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, problem, "scale the picture down first")
