"""What waits for a thread, and what those hold who have left."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

import pytest

from fruitcnn.server.counters import Board
from fruitcnn.server.queue import Queue
from tests.server.test_counters import value


class Body:
    """What a job holds."""


def job_of(body: Body) -> Callable[[], Body]:
    return lambda: body


async def nobody_leaves() -> None:
    await asyncio.Event().wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_waits_is_forgotten_with_its_client_and_what_runs_keeps_its_place() -> None:
    async def scenario() -> None:
        board = Board(1)
        queue = Queue(1, board.claim().show_waiting)
        begun, over = threading.Event(), threading.Event()
        both_leave = asyncio.Event()

        def slow() -> str:
            begun.set()
            assert over.wait(30)
            return "slow"

        running = asyncio.create_task(queue.answers([slow], both_leave.wait))  # type: ignore[arg-type]
        await until(begun.is_set)
        body = Body()
        kept = weakref.ref(body)
        waiting = asyncio.create_task(queue.answers([job_of(body)] * 3, both_leave.wait))  # type: ignore[arg-type]
        del body
        await until(lambda: queue.length == 4)
        assert value(board, "fruitcnn_waiting_pictures") == 4
        both_leave.set()
        assert await waiting is None
        del waiting
        gc.collect()
        assert kept() is None, "a body that nobody waits for"
        assert not running.done() and queue.length == value(board, "fruitcnn_waiting_pictures") == 1
        over.set()
        assert await running is None and queue.length == value(board, "fruitcnn_waiting_pictures") == 0
        assert await queue.answers([lambda: 1, lambda: 2], nobody_leaves) == [1, 2], "the thread is free again"
        queue.close()

    asyncio.run(scenario())


def test_what_jobs_raise_is_raised_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        queue = Queue(2, lambda length: None)

        def broken() -> None:
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await queue.answers([broken] * 3, nobody_leaves)
        assert queue.length == 0 and await queue.answers([lambda: 1], nobody_leaves) == [1]
        queue.close()

    asyncio.run(scenario())
    gc.collect()
    assert not caplog.records, "asyncio says what nobody has asked for"
