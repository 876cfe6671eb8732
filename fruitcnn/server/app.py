"""The routes: what can be asked, and who answers."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import os
import signal
import time
import warnings
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from fruitcnn import __version__, checkpoint
from fruitcnn.errors import FruitcnnError
from fruitcnn.server import limits
from fruitcnn.server.bodies import HeldBytes, SentPicture, check_head, read_body, sent_pictures
from fruitcnn.server.counters import Board, Counters
from fruitcnn.server.front import Front
from fruitcnn.server.guide import GUIDE, IDENTIFY
from fruitcnn.server.http_error import HttpError, json_response
from fruitcnn.server.log import LOGGER, configure_log
from fruitcnn.server.queue import Queue
from fruitcnn.server.served_model import Models, Row, ServedModel
from fruitcnn.signals import terminal_is_gone

_PAGE = checkpoint.PAGE
# Seconds that a process whose model can't be loaded waits before the next takes its place.
_PAUSE = 5.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a process of the server is told: the model's file, threads, the token that it asks for, its log's form."""

    file: Path
    threads: int
    token: str | None
    log: str


class Service:
    """What the routes share."""

    def __init__(self, settings: Settings, board: Board, counters: Counters, model: ServedModel) -> None:
        self.models = Models(settings.file, model)
        self.queue = Queue(settings.threads, counters.show_waiting)
        self.held = HeldBytes(counters.show_held)
        self.board = board
        self.counters = counters
        self._reloading = asyncio.Lock()

    async def identify(self, request: Request, top: int | None, *, explain: bool) -> Response:
        """Answer one request to identify pictures. Raises HttpError."""
        model = self.models.current
        if explain and not model.identifier.has_evidence:
            problem = "the model does not say where its answers come from"
            raise HttpError(HTTPStatus.BAD_REQUEST, problem, "leave out explain")
        check_head(request)
        # Before the body comes, for who would have sent it for nothing.
        self.queue.check_room()
        with self.held.lease() as lease:
            # Nothing here holds the body: a form's pictures are copies.
            sent = sent_pictures(request.headers.get("content-type", ""), await read_body(request, lease))
            pictures = [sent] if isinstance(sent, SentPicture) else sent
            jobs = [functools.partial(model.answer, picture, top, explained=explain) for picture in pictures]
            rows = await self.queue.answers(jobs, functools.partial(_until_gone, request))
        if rows is None:
            raise ClientDisconnect
        for row in rows:
            self.counters.count_picture(row.outcome)
        return _answer(rows, model, several=isinstance(sent, list))

    async def reload(self) -> None:
        """Let the model that is on disk now answer; where it can't, the other goes on, and the log says why."""
        async with self._reloading:
            try:
                await asyncio.to_thread(self.models.reload)
            except Exception as error:
                self.counters.count_load(failed=True)
                LOGGER.error(f"the model is not replaced: {error}")
            else:
                self.counters.count_load()
                LOGGER.info(f"loaded {' '.join(self.models.current.identity.values())}")


def build_app(
    settings: Settings, board: Board, model: ServedModel | None = None, announce: Callable[[], None] = lambda: None
) -> ASGIApp:
    """The server's app. model: None loads it from its file when the app starts. announce: called when signals count."""
    configure_log(settings.log)
    # Pillow warns of pictures that are odd but readable.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    counters = board.claim()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Service]]:
        service = Service(settings, board, counters, model or _loaded(settings.file))
        counters.count_load()
        tasks: set[asyncio.Task[None]] = set()
        _on_hangup(service, tasks)
        announce()
        yield {"service": service}
        service.queue.close()

    app = FastAPI(title="fruitcnn", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_routes(app)
    _add_errors(app)
    page = settings.file.parent / _PAGE
    if (page / "index.html").is_file():
        # Behind the routes, whose methods it would hide.
        app.router.default = StaticFiles(directory=page, html=True)
    else:
        app.get("/", include_in_schema=False)(_to_docs)
    return Front(app, counters, settings.token)


def _add_routes(app: FastAPI) -> None:
    @app.post("/identify", openapi_extra=IDENTIFY)
    async def identify(
        request: Request, top: Annotated[int | None, Query(ge=1)] = None, explain: bool = False
    ) -> Response:
        """Say what is in a picture, or in the pictures of a form."""
        return await _service(request).identify(request, top, explain=explain)

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> Response:
        """Say that the process is alive."""
        return json_response({"alive": True})

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready")
    async def ready(request: Request) -> Response:
        """Say that a model is loaded, and has answered."""
        return json_response({"ready": True, "model": _service(request).models.current.identity})

    @app.get("/info")
    async def info(request: Request) -> Response:
        """Show the model's card, and the limits of a request."""
        return json_response(_described(_service(request)))

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Show what was counted, as Prometheus reads it."""
        return PlainTextResponse(_service(request).board.text(), media_type="text/plain; version=0.0.4")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(GUIDE, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(HttpError)
    async def refuse(request: Request, error: HttpError) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        return json_response({"error": f"{error.detail}; see /docs"}, error.status_code, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def wrong_query(request: Request, error: RequestValidationError) -> Response:
        found = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        return HttpError(HTTPStatus.BAD_REQUEST, ", ".join(found), "see /docs").response()

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        # Nobody reads it.
        return Response(status_code=499)


async def _to_docs() -> Response:
    return RedirectResponse("/docs")


def _service(request: Request) -> Service:
    service: Service = request.state.service
    return service


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(rows: list[Row], model: ServedModel, *, several: bool) -> Response:
    """One object for a body that is a picture, a list for a form; it is as good as its best row."""
    content: Any = [row.fields for row in rows] if several else rows[0].fields
    status = min(row.status for row in rows)
    headers = {"x-model-sha256": model.identity["sha256"]}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = limits.RETRY_AFTER
    return json_response(content, status, headers)


def _described(service: Service) -> dict[str, Any]:
    model = service.models.current
    return {
        "fruitcnn": __version__,
        "model": model.identity,
        "card": json.loads(model.identifier.card.to_json()),
        "limits": {
            "body_bytes": limits.BODY_BYTES,
            "body_seconds": limits.BODY_SECONDS,
            "pictures": limits.PICTURES,
            "waiting": limits.WAITING,
        },
    }


def _loaded(file: Path) -> ServedModel:
    """The model of a process that takes another's place, whatever has become of its file."""
    try:
        return ServedModel(file)
    except FruitcnnError as error:
        LOGGER.error(str(error))
        # Those that still answer go on; the next one has another try.
        time.sleep(_PAUSE)
        os._exit(1)


def _on_hangup(service: Service, tasks: set[asyncio.Task[None]]) -> None:
    """From here on SIGHUP loads the model anew; one that came before, and was held back, does so now."""

    def begin() -> None:
        if terminal_is_gone():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        task = asyncio.create_task(service.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
