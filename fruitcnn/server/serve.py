"""`fruitcnn serve`: what is checked before the first request, and the processes."""

import functools
import ipaddress
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from fruitcnn.errors import UsageError
from fruitcnn.models import choose_model
from fruitcnn.server.app import Settings, build_app
from fruitcnn.server.connections import Connection
from fruitcnn.server.counters import Board
from fruitcnn.server.limits import CONNECTIONS, FINISH_SECONDS, IDLE_SECONDS
from fruitcnn.server.log import LOGGER, configure_log
from fruitcnn.server.served_model import ServedModel
from fruitcnn.server.workers import Workers
from fruitcnn.signals import end_with_parent
from fruitcnn.wording import counted

TOKEN = "FRUITCNN_TOKEN"
_SHORTEST = 16
# Seconds that uvicorn's supervisor waits for a sign of life: on a busy machine it takes a while.
_SILENCE = 30
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def serve(model: str | None, *, host: str, port: int, workers: int, log: str) -> None:
    """Answer requests until a signal says to stop. port: 0 takes a free one.

    Raises ModelError where there is no model that answers, UsageError where the address can't be had, or would be
    open to others without a token.
    """
    token = read_token()
    choice = choose_model(model)
    choice.tell("serving", by_option=False)
    loaded = ServedModel(choice.file)
    listening = listen(host, port, token)
    settings = Settings(choice.file.absolute(), max(1, cpus() // workers), token, log)
    configure_log(log)
    board = Board(workers)
    threads = workers * settings.threads
    announce = functools.partial(_announce, listening, loaded.identity["name"], threads)
    if workers > 1:
        del loaded
        config = _config(functools.partial(_worker_app, settings, board), workers)
        Workers(config, [listening], announce).run()
    else:
        _serve_alone(_config(lambda: build_app(settings, board, loaded, announce), 1), listening)


def read_token() -> str | None:
    """The token that the environment demands of those who ask. Raises UsageError for one that is none."""
    token = os.environ.get(TOKEN)
    if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token):
        remedy = (
            f"set at least {_SHORTEST} letters and digits: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
        raise UsageError("is no token that keeps anyone out", value=TOKEN, remedy=remedy)
    return token


def listen(host: str, port: int, token: str | None) -> socket.socket:
    """A socket that takes connections, which wait until somebody answers. Raises UsageError."""
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if token is None and not is_loopback(str(address[0])):
            problem = "whoever reaches this address could ask"
            raise UsageError(problem, value=place, remedy=f"set {TOKEN} to a secret, or leave out --host")
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except (OSError, UnicodeError) as error:
        problem = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(problem, value=place, remedy="choose another --host or --port") from None
    return listening


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def cpus() -> int:
    """How many processors this process may use at a time, by its affinity and by its container's limit."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_LIMIT.read_text().split()
        return count if quota == "max" else max(1, min(count, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return count


def _serve_alone(config: uvicorn.Config, listening: socket.socket) -> None:
    server = uvicorn.Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn sends itself what ended it once more, to whoever handled it before: being told to stop is no failure.
        signal.signal(number, server.handle_exit)
    server.run([listening])


def _worker_app(settings: Settings, board: Board) -> ASGIApp:
    end_with_parent()
    return build_app(settings, board)


def _config(make_app: Callable[[], ASGIApp], workers: int) -> uvicorn.Config:
    return uvicorn.Config(
        make_app,
        factory=True,
        workers=workers,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Whoever connects is who it is: a header can say anything.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
        timeout_worker_healthcheck=_SILENCE,
    )


def _announce(listening: socket.socket, name: str, threads: int) -> None:
    host, port = listening.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    LOGGER.info(f"{name} answers on http://{place}:{port} ({counted(threads, 'thread', 'threads')}; how to ask: /docs)")
