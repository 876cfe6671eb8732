"""The threads that answer, and the pictures that wait for one."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from fruitcnn.server.http_error import HttpError
from fruitcnn.server.limits import WAITING
from fruitcnn.wording import counted

T = TypeVar("T")


class Queue:
    """So many threads, and so many places for work: who finds none left comes back later.

    tell: called with the number of jobs that have a place, whenever it changes.
    """

    def __init__(self, threads: int, tell: Callable[[int], None]) -> None:
        self.threads = threads
        self.length = 0
        self._tell = tell
        self._pool = ThreadPoolExecutor(threads)
        self._free = asyncio.Semaphore(threads)

    def check_room(self, jobs: int = 1) -> None:
        """Raises HttpError where so many jobs find no place."""
        if self.length + jobs > WAITING:
            waiting = counted(self.length, "picture waits", "pictures wait")
            raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, f"{waiting} already", "try again later")

    async def answers(
        self, jobs: Sequence[Callable[[], T]], gone: Callable[[], Coroutine[Any, Any, None]]
    ) -> list[T] | None:
        """What the jobs return, in their order; None where `gone` returns before: what has not begun is then left out.

        Returns when no thread has one of the jobs any more: what they hold is theirs until then. Raises HttpError where
        they find no place, and what a job raises.
        """
        self.check_room(len(jobs))
        self._change(len(jobs))
        begun: list[asyncio.Future[T]] = []
        work = asyncio.create_task(self._work(jobs, begun))
        watch = asyncio.create_task(gone())
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            is_done = work.done()
        finally:
            work.cancel()
            watch.cancel()
            self._change(len(begun) - len(jobs))
            if begun:
                await asyncio.wait(begun)
        for future in begun:
            # Or asyncio says of one that failed that nobody has asked.
            future.exception()
        return work.result() if is_done else None

    def close(self) -> None:
        """Wait for what has been begun."""
        self._pool.shutdown()

    async def _work(self, jobs: Sequence[Callable[[], T]], begun: "list[asyncio.Future[T]]") -> list[T]:
        """Begin each job when a thread is free, never before: the pool would keep what nobody waits for any more."""
        for job in jobs:
            await self._free.acquire()
            future = asyncio.get_running_loop().run_in_executor(self._pool, job)
            future.add_done_callback(self._leave)
            begun.append(future)
        await asyncio.wait(begun)
        return [future.result() for future in begun]

    def _leave(self, future: object) -> None:
        self._free.release()
        self._change(-1)

    def _change(self, amount: int) -> None:
        self.length += amount
        self._tell(self.length)
