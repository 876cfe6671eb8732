"""A budget of memory that the threads which decode pictures share."""

import contextlib
import threading
from collections.abc import Iterator

# Bytes that pictures may take while they are decoded and used, all threads together.
MEMORY_LIMIT = 1 << 30
# Bytes from which on freed memory is worth giving back at once.
_LARGE = 1 << 26


class Budget:
    """A number of bytes that threads share: whoever wants more than is left waits for the others."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def holding(self, amount: int) -> Iterator[None]:
        """Hold `amount` bytes, at most the limit, while the block runs; all must be freed when it ends.

        A thread holds one amount at a time: two that each wait for what the other holds would wait for ever.
        """
        with self._changed:
            self._changed.wait_for(lambda: amount <= self._left)
            self._left -= amount
        try:
            yield
        finally:
            if amount > _LARGE:
                _return_freed()
            with self._changed:
                self._left += amount
                self._changed.notify_all()


def _return_freed() -> None:
    """Give freed memory back to the system: glibc would keep as much as one large picture for each thread."""
    import ctypes

    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
