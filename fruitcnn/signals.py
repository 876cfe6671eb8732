"""A signal ends the command at once, without a traceback and without leaving a part of a file."""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# What is done before the end; it returns what people are told then.
_last: Callable[[], str] | None = None
# One signal comes to two threads: the one that watches, and the main one once it is back from a library.
_ending = threading.RLock()


def end_on_signals() -> None:
    """From here on SIGINT, SIGTERM and SIGHUP end this process."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        # What the parent made this process ignore, as nohup and a shell's & do, stays ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def end_inside_libraries() -> None:
    """The same while a library computes: Python's handlers wait until the main thread is back from it.

    A thread waits for the number that Python's own part of the handler writes to a pipe. For a process that called
    `end_on_signals`, and whose standard streams are open: the pipe must not become one of them.
    """
    if signal.getsignal(signal.SIGTERM) is not _stop or not hasattr(os, "register_at_fork"):
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # A child's signals are its own.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_watch, args=(reading,), daemon=True).start()


def end_with_parent() -> None:
    """From here on a process that multiprocessing has started gets a SIGTERM when its parent is gone."""
    from multiprocessing.connection import wait
    from multiprocessing.process import parent_process

    parent = parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def terminal_is_gone() -> bool:
    """Whether standard input is a terminal that was closed: then SIGHUP says just that."""
    try:
        os.tcgetpgrp(0)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def is_alive(process: int) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # Another user's.
        return True
    return True


def _watch(reading: int) -> None:
    while data := os.read(reading, 1):
        # Training handles signals in its own way.
        if signal.getsignal(data[0]) is _stop:
            _stop(data[0], None)


@contextlib.contextmanager
def doing_last(action: Callable[[], str]) -> Iterator[None]:
    """As long as this lasts, a signal that ends the process does `action` before, and tells the line it returns.

    It may run in any thread, at any moment.
    """
    global _last
    before, _last = _last, action
    try:
        yield
    finally:
        _last = before


def _stop(number: int, frame: FrameType | None) -> None:
    global _last
    with _ending:
        # Not there yet, or half imported: then no file was begun.
        discard = getattr(sys.modules.get("fruitcnn.temporaries"), "discard_unfinished", None)
        if discard:
            discard()
        last, _last = _last, None
        if last:
            _tell(last())
        os._exit(128 + number)


def _tell(line: str) -> None:
    """To standard error, unless that is not there, or nobody takes what it gets."""
    with contextlib.suppress(OSError, ValueError):
        if line and (os.name == "nt" or _takes_more(2)):
            # The bar may stand there, and what the terminal shows of the key.
            os.write(2, (f"\n{line}\n" if os.isatty(2) else f"{line}\n").encode(errors="backslashreplace"))


def _takes_more(descriptor: int) -> bool:
    import select

    return bool(select.select([], [descriptor], [], 0)[1])
