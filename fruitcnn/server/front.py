"""What each request passes first and each answer last: the token, the count, the log, and the rest of a body."""

import asyncio
import contextlib
import hmac
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fruitcnn.server.counters import ROUTES, Counters
from fruitcnn.server.http_error import HttpError
from fruitcnn.server.limits import BODY_BYTES, BODY_SECONDS, LINGER_BYTES, LINGER_SECONDS
from fruitcnn.server.log import LOGGER, log_exchange

# Answered to everybody: whoever watches over a server has no token.
OPEN = ("/health", "/ready")
_CLOSE = (b"connection", b"close")
# Who guesses a kind from the content is wrong.
_HEADERS = [(b"x-content-type-options", b"nosniff")]
_CLIENT_LEFT = 499


class Front:
    """An ASGI app around the one that knows the routes."""

    def __init__(self, app: ASGIApp, counters: Counters, token: str | None) -> None:
        self._app = app
        self._counters = counters
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            await self._answer(scope, exchange)
        except Exception as error:
            # The answer says no more than that; the log does.
            LOGGER.error(f"internal error: {type(error).__name__}: {error}", exc_info=error)
            if not exchange.status:
                await _internal_error().response()(scope, exchange.receive, exchange.send)
        finally:
            seconds = time.monotonic() - exchange.started
            status = exchange.status or _CLIENT_LEFT
            route = ROUTES[0] if scope["path"] == f"/{ROUTES[0]}" else ROUTES[1]
            self._counters.count_request(route, status, seconds)
            log_exchange(exchange.fields(status, seconds))

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        if self._expected is not None and scope["path"] not in OPEN:
            given = exchange.header(b"authorization")
            kind, _, secret = given.partition(b" ")
            if not hmac.compare_digest(kind.capitalize() + b" " + secret.strip(), self._expected):
                error = HttpError(
                    HTTPStatus.UNAUTHORIZED, "no token, or another", "send the header Authorization: Bearer TOKEN"
                )
                await error.response()(scope, exchange.receive, exchange.send)
                return
        await self._app(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer.

    Where the answer comes before the end of the body, what is left is read and forgotten, within limits: a connection
    that is closed with bytes unread takes the answer with it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started = time.monotonic()
        self.status = 0
        self._scope, self._receive, self._send = scope, receive, send
        self._read = 0
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._is_read = b"content-length" not in self._headers and b"transfer-encoding" not in self._headers
        self._is_gone = False

    def header(self, name: bytes) -> bytes:
        """A header's value, empty where it is not there."""
        return self._headers.get(name, b"")

    async def receive(self) -> Message:
        """The next part of the body."""
        message = await self._receive()
        self._read += len(message.get("body", b""))
        self._is_gone = message["type"] != "http.request"
        self._is_read = self._is_read or self._is_gone or not message.get("more_body", False)
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """The next part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), *_HEADERS]
            if not self._is_read and self._is_short():
                await self._forget(BODY_BYTES, self.started + BODY_SECONDS - time.monotonic())
            if not self._is_read:
                message["headers"].append(_CLOSE)
        elif not message.get("more_body", False) and not self._is_read and not self._is_gone:
            # All of the answer is out before the wait.
            await self._send({**message, "more_body": True})
            await self._forget(LINGER_BYTES, LINGER_SECONDS)
            message = {"type": "http.response.body"}
        await self._send(message)

    def fields(self, status: int, seconds: float) -> dict[str, object]:
        """What the log says."""
        client = self._scope.get("client") or ("-", 0)
        return {
            "client": client[0],
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes": self._read,
        }

    def _is_short(self) -> bool:
        # Who asks whether to send has not begun to.
        return b"expect" not in self._headers and int(self.header(b"content-length") or BODY_BYTES + 1) <= BODY_BYTES

    async def _forget(self, most: int, seconds: float) -> None:
        start = self._read
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_read and self._read - start < most:
                    await self.receive()


def _internal_error() -> HttpError:
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error", "the server's log says more")
