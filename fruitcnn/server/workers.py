"""Several processes behind one address: uvicorn's supervisor, which replaces those that die."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from socket import socket

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from fruitcnn.signals import terminal_is_gone

# Seconds that processes have to load the model.
_LOADING = 120.0


class Workers(Multiprocess):
    """As many as the configuration says, on sockets that listen."""

    def __init__(self, config: Config, sockets: list[socket], announce: Callable[[], None]) -> None:
        super().__init__(config, sockets)
        self._announce = announce

    def init_processes(self) -> None:
        """Start all, and wait until they answer."""
        with _hangups_held():
            super().init_processes()
        if all(process.wait_until_ready(_LOADING, self.should_exit) for process in self.processes):
            self._announce()

    def keep_subprocess_alive(self) -> None:
        """Replace those that are gone or hang."""
        with _hangups_held():
            super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Each loads the model anew, while it answers with the one it has: none is replaced, so no request is lost."""
        if terminal_is_gone():
            self.should_exit.set()
            return
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        """Let all finish what they have."""
        # Or new connections would wait for an answer of this process, which gives none.
        for listening in self.sockets:
            listening.close()
        super().terminate_all()


@contextlib.contextmanager
def _hangups_held() -> Iterator[None]:
    """SIGHUP would end a process that is not ready for it: those that are started here get it when they are."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
