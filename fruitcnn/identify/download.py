"""A picture behind an http(s) address, as the command line takes it: bounded in size, time and redirects.

The standard library's client: it knows proxies and certificates, comes with Python, and what it lacks (a limit for the
whole answer, redirects that are looked at) would have to be written around any other, too.
"""

import contextlib
import functools
import http.client
import socket
import ssl
import string
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from fruitcnn import __version__
from fruitcnn.errors import ImageError, shortened
from fruitcnn.identify.addresses import is_address, shown_address
from fruitcnn.image.kinds import kind_of

# Bytes of a picture's file; no photograph comes near it.
LIMIT = 100_000_000
# Seconds until the server must have taken the connection, and for each time that it says nothing; for all of it.
SILENCE, PATIENCE = 10.0, 60.0
# Shorteners and content networks take one or two.
REDIRECTS = 5
_REDIRECTED = (301, 302, 303, 307, 308)
_CHUNK = 1 << 16
_AGAIN = "try again later"
_ITSELF = "give the address of the picture itself"
_REMEDIES = {
    401: "give its user and password (https://USER:PASSWORD@...), or download it yourself",
    403: "download it yourself",
    429: _AGAIN,
}


class Download:
    """A picture's bytes, fetched when they are read: one picture a thread is in memory, not all that were named."""

    def __init__(self, address: str) -> None:
        self._address = address

    def read(self, size: int = LIMIT, /) -> bytes:
        """All bytes of the picture. Raises ImageError, whatever the server does; so too for more than `size` bytes."""
        return download(self._address, min(size, LIMIT))


def download(address: str, limit: int = LIMIT) -> bytes:
    """The bytes behind an http(s) address. Raises ImageError where there are none, or too many."""
    with _web_errors(), _client() as client, contextlib.closing(_answer(client, address)) as answer:
        if answer.status != 200:
            raise _refusal(answer.status)
        announced = answer.length
        if announced is not None and announced > limit:
            raise _too_large(f"{announced:,}", limit)
        data = bytearray()
        while chunk := answer.read(_CHUNK):
            data += chunk
            if len(data) > limit:
                raise _too_large(f"more than {limit:,}", limit)
        if announced is not None and len(data) < announced:
            raise ImageError(f"cut off after {len(data):,} of {announced:,} bytes", remedy=_AGAIN)
        content = _unpacked(bytes(data), (answer.getheader("Content-Encoding") or "").lower(), limit)
    if "html" in (answer.getheader("Content-Type") or "").lower() and not kind_of(content[:64]):
        raise ImageError("is a web page, not a picture", remedy=_ITSELF)
    return content


def _answer(client: urllib.request.OpenerDirector, address: str) -> http.client.HTTPResponse:
    """The answer that redirects end in, whatever its status; its body has not been read."""
    for _ in range(REDIRECTS + 1):
        answer: http.client.HTTPResponse = client.open(_request(address), timeout=SILENCE)
        location = answer.getheader("Location")
        if answer.status not in _REDIRECTED or location is None:
            return answer
        # Its body is nothing that anybody wants, and may be endless.
        answer.close()
        address = _redirected(address, location)
    raise ImageError(f"redirected more than {REDIRECTS} times", remedy=_ITSELF)


def _redirected(address: str, location: str) -> str:
    # Headers come as Latin 1, whatever their bytes were.
    target = urljoin(address, quote(location, safe=string.punctuation, encoding="iso-8859-1"))
    is_weaker = address.lower().startswith("https:") and not target.lower().startswith("https:")
    if not is_address(target) or is_weaker or urlsplit(target).username is not None:
        problem = f"redirected to {shortened(shown_address(target), 200)}, which is not followed"
        raise ImageError(problem, remedy=_ITSELF)
    return target


def _request(address: str) -> urllib.request.Request:
    parts = urlsplit(address)
    if not parts.hostname:
        raise ValueError("no host")
    host = parts.hostname.encode("idna").decode()
    place = f"[{host}]" if ":" in host else host
    # As people paste them: with spaces and letters that addresses don't have.
    path, query = (quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path, parts.query))
    netloc = place if parts.port is None else f"{place}:{parts.port}"
    bare = urlunsplit(SplitResult(parts.scheme, netloc, path or "/", query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": f"fruitcnn/{__version__}", "Accept": "image/*, */*"})
    if parts.username is not None:
        from base64 import b64encode

        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_unredirected_header("Authorization", f"Basic {b64encode(words).decode()}")
    return request


class _Watch:
    """Ends the connection of a download when its time is up, wherever it stands."""

    def __init__(self) -> None:
        self.is_over = False
        self._connection: socket.socket | None = None

    def see(self, connection: socket.socket) -> None:
        """Watch this connection from now on."""
        self._connection = connection
        if self.is_over:
            self.end()

    def end(self) -> None:
        self.is_over = True
        # It may be closed already.
        with contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)


class _Plain(http.client.HTTPConnection):
    """A connection that is watched: the client's own timeout begins anew with each byte."""

    def __init__(self, watch: _Watch, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch = watch

    def connect(self) -> None:
        super().connect()
        self._watch.see(self.sock)


class _Secure(_Plain, http.client.HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens http and https, and leaves every status to the caller."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Plain, self._watch), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_Secure, self._watch), req)


@contextlib.contextmanager
def _client() -> Iterator[urllib.request.OpenerDirector]:
    """A client, through the proxies of the environment, all of whose work must be done in `PATIENCE` seconds."""
    watch, opener = _Watch(), urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Handler(watch))
    timer = threading.Timer(PATIENCE, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield opener
    except Exception:
        # What was cut off by us looks like a fault of the server.
        if not watch.is_over:
            raise
    finally:
        timer.cancel()
    if watch.is_over:
        raise ImageError(f"not all there after {PATIENCE:.0f} seconds", remedy="download it yourself")


@contextlib.contextmanager
def _web_errors() -> Iterator[None]:
    """Every way in which a fetch can fail, as an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _failure(cause) from None


def _failure(cause: object) -> ImageError:
    if isinstance(cause, TimeoutError):
        return ImageError(f"no answer within {SILENCE:.0f} seconds", remedy=_AGAIN)
    if isinstance(cause, socket.gaierror):
        return ImageError("no server of this name is found", remedy="check the address and the network")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ImageError(f"its certificate does not hold ({cause.verify_message})", remedy="download it yourself")
    if isinstance(cause, http.client.IncompleteRead | ConnectionResetError | http.client.RemoteDisconnected):
        return ImageError("cut off by the server", remedy=_AGAIN)
    if isinstance(cause, OSError):
        return ImageError(f"can't be reached ({cause.strerror or cause})", remedy="check the address and the network")
    if isinstance(cause, http.client.InvalidURL | ValueError):
        return ImageError("is no address that can be asked for", remedy="check it")
    return ImageError("does not answer as a web server does", remedy="check the address")


def _refusal(status: int) -> ImageError:
    phrase = http.client.responses.get(status)
    problem = f"the server answers {status} ({phrase})" if phrase else f"the server answers {status}"
    return ImageError(problem, remedy=_REMEDIES.get(status, _AGAIN if status >= 500 else "check the address"))


def _too_large(size: str, limit: int) -> ImageError:
    problem = f"has {size} bytes, more than the limit of {limit / 1e6:,.0f} MB"
    return ImageError(problem, remedy="download it, and save it smaller")


def _unpacked(data: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return data
    if encoding not in ("gzip", "x-gzip"):
        raise ImageError(f"sent as {encoding[:40]}, which was not asked for", remedy="download it yourself")
    # Some servers send gzip to everybody.
    decoder = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        content = decoder.decompress(data, limit + 1)
    except zlib.error:
        raise ImageError("sent as gzip, and damaged", remedy=_AGAIN) from None
    if len(content) > limit:
        raise _too_large(f"more than {limit:,}", limit)
    if not decoder.eof:
        raise ImageError("cut off within its gzip", remedy=_AGAIN)
    return content
