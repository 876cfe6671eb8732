"""Threads that work ahead of whoever reads their results."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

# Pictures that are begun before their turn, so that a large one keeps nobody waiting.
AHEAD = 32

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def mapped_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[_In], _Out],
    items: Iterable[_In],
    *,
    ahead: int,
    again: Callable[[_Out], bool] = lambda result: False,
) -> Generator[_Out, None, None]:
    """Like `pool.map`, in order too, `ahead` items before the reader instead of all of them.

    again: whether a result calls for another try, while nothing else is worked on.
    """
    waiting: collections.deque[tuple[_In, Future[_Out]]] = collections.deque()

    def first() -> _Out:
        item, future = waiting.popleft()
        result = future.result()
        if again(result):
            wait([other for _, other in waiting])
            result = function(item)
        return result

    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > ahead:
                yield first()
        while waiting:
            yield first()
    finally:
        for _, future in waiting:
            future.cancel()
