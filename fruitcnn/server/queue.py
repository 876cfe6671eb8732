"""The threads that answer, and the pictures that wait for one."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from fruitcnn.server.http_error import HttpError
from fruitcnn.server.limits import WAITING

T = TypeVar("T")


class Queue:
    """So many threads, and so many places for work: who finds none left comes back later."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.length = 0
        self._pool = ThreadPoolExecutor(threads)

    def check_room(self, jobs: int = 1) -> None:
        """Raises HttpError where so many jobs find no place."""
        if self.length + jobs > WAITING:
            raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, f"{self.length} pictures wait already", "try again later")

    async def answers(
        self, jobs: Sequence[Callable[[], T]], gone: Callable[[], Coroutine[Any, Any, None]]
    ) -> list[T] | None:
        """What the jobs return, in their order; None as soon as `gone` returns: what has not begun is then left out.

        Raises HttpError where they find no place, and what a job raises.
        """
        self.check_room(len(jobs))
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(self._pool, job) for job in jobs]
        self.length += len(jobs)
        for future in futures:
            future.add_done_callback(self._leave)
        together = asyncio.gather(*futures)
        watch = asyncio.create_task(gone())
        try:
            await asyncio.wait((together, watch), return_when=asyncio.FIRST_COMPLETED)
            return together.result() if together.done() else None
        finally:
            together.cancel()
            watch.cancel()

    def close(self) -> None:
        """Wait for what has been begun."""
        self._pool.shutdown()

    def _leave(self, future: object) -> None:
        self.length -= 1
