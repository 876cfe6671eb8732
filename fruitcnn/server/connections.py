"""uvicorn's connections, which wait for ever for the head of a request and for who never reads, with limits to that."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fruitcnn.server.limits import BODY_SECONDS, HEAD_SECONDS

# Seconds that a connection without a request so far gets for its first one when the server stops: it may be on its way.
_FIRST = 1.0
# Bytes that a client has to take within BODY_SECONDS of an answer that waits for it.
_LEAST = 65_536


class Connection(H11Protocol):
    """A connection of HTTP/1.1."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head: asyncio.TimerHandle | None = None
        self._is_last = False
        self._look: asyncio.TimerHandle | None = None
        self._unread: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._watch()
        self._look = self.loop.call_later(BODY_SECONDS, self._look_again)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        if self._is_last and self.cycle is not None:
            self.cycle.keep_alive = False
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._end_watch()
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._unread = None
        super().resume_writing()

    def shutdown(self) -> None:
        """End the connection, after the request that it has, or that may be on its way."""
        if self.cycle is None:
            self._is_last = True
            self.loop.call_later(_FIRST, self._end_without_request)
        else:
            super().shutdown()

    def _end_without_request(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            super().shutdown()

    def _look_again(self) -> None:
        """End what waits for a client that does not read: closing it would wait, too."""
        unread = self.transport.get_write_buffer_size()
        if self._unread is not None and unread > self._unread - _LEAST:
            self.transport.abort()
            return
        self._unread = unread if self.flow.write_paused or self.transport.is_closing() else None
        self._look = self.loop.call_later(BODY_SECONDS, self._look_again)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._end_watch()
        elif self._head is None and not self.transport.is_closing():
            # Of a request only: who keeps a connection that is idle has less time.
            self._head = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _end_watch(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
