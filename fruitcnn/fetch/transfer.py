"""One file over HTTP: bounded in size, time and redirects, tried again where that can help, and proven by its hash."""

import asyncio
import contextlib
import email.utils
import http
import random
import time
from collections.abc import AsyncIterator, Iterator

import httpx

from fruitcnn import __version__
from fruitcnn.errors import UsageError, shortened
from fruitcnn.fetch.manifest import RemoteFile, blob_sha1
from fruitcnn.identify.addresses import shown_address

# Seconds until the server must have taken the connection, and for each time that it says nothing.
SILENCE = 10.0
# Bytes in a second, below which a file is not waited for; bytes of a file whose size nobody knows, at most.
SLOWEST, LARGEST = 8_000, 20_000_000
# Tries of one file; seconds before the second one, doubled each time; the longest wait that a server may ask for.
TRIES, PAUSE, LONGEST_PAUSE = 4, 1.0, 60.0
REDIRECTS = 5
# Of statuses below 500, those that another try may change.
_PASSING = (408, 425, 429)


class TransferError(Exception):
    """Why a file did not come. passing: whether another try may help; pause: seconds that the server asked for."""

    def __init__(self, problem: str, *, passing: bool = True, pause: float = 0.0) -> None:
        super().__init__(problem)
        self.passing, self.pause = passing, pause


class Pace:
    """What all transfers of one server wait for, where it has asked for a pause."""

    def __init__(self) -> None:
        self._until = 0.0

    def hold(self, seconds: float) -> None:
        """Let nobody ask before so many seconds have passed."""
        self._until = max(self._until, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Until the server may be asked."""
        while (left := self._until - time.monotonic()) > 0:
            await asyncio.sleep(left)


def new_client(connections: int) -> httpx.AsyncClient:
    """A client that keeps so many connections, through the proxies of the environment, and follows no redirect.

    Raises UsageError for a proxy that it does not know how to use.
    """
    # What is packed on the way has another length, and no place where it could be taken up again.
    headers = {"User-Agent": f"fruitcnn/{__version__}", "Accept-Encoding": "identity"}
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    try:
        return httpx.AsyncClient(headers=headers, limits=limits, timeout=httpx.Timeout(SILENCE, pool=None))
    except (ImportError, ValueError) as error:
        problem = f"can't be used ({shortened(str(error), 200)})"
        remedy = "give an http one (https_proxy), or set no_proxy"
        raise UsageError(problem, value="the proxy of the environment", remedy=remedy) from None


async def transfer(client: httpx.AsyncClient, address: str, file: RemoteFile, pace: Pace) -> bytes:
    """The bytes of a file, with its sha1. Raises TransferError with what the last try met."""
    data = bytearray()
    for number in range(TRIES):
        await pace.wait()
        try:
            with _web_errors():
                async with asyncio.timeout(SILENCE + (file.size or LARGEST) / SLOWEST):
                    await _receive(client, address, data, at_most=file.size or LARGEST)
            _check(data, file)
            return bytes(data)
        except TransferError as error:
            if not error.passing or number == TRIES - 1:
                raise
            pace.hold(error.pause)
            # Not all at the same moment, when a server comes back.
            await asyncio.sleep(PAUSE * 2**number * random.uniform(0.5, 1.0))
    raise AssertionError("the last try returns or raises")


async def _receive(client: httpx.AsyncClient, address: str, data: bytearray, *, at_most: int) -> None:
    """Add to `data` what is missing of the file, where the server can go on there; else fill it anew."""
    headers = {"Range": f"bytes={len(data)}-"} if data else {}
    async with _answer(client, client.build_request("GET", address, headers=headers)) as response:
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {len(data)}-"
        )
        if not (data and goes_on):
            data.clear()
        if response.status_code != 200 and not goes_on:
            raise _refusal(response)
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise TransferError(f"sent as {encoding[:40]}, which was not asked for", passing=False)
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > at_most:
                data.clear()
                raise TransferError(f"has more than {at_most:,} bytes")


def _check(data: bytearray, file: RemoteFile) -> None:
    if file.size and len(data) < file.size:
        raise TransferError(f"cut off after {len(data):,} of {file.size:,} bytes")
    if blob_sha1(bytes(data)) != file.blob:
        data.clear()
        raise TransferError("has another content than the photograph had")


@contextlib.asynccontextmanager
async def _answer(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    """The answer that redirects end in, whatever its status; its body has not been read."""
    for _ in range(REDIRECTS + 1):
        response = await client.send(request, stream=True)
        try:
            following = response.next_request
            if following is None:
                yield response
                return
        finally:
            # The body of a redirect is nothing that anybody wants, and may be endless.
            await response.aclose()
        weaker = request.url.scheme == "https" and following.url.scheme != "https"
        if weaker or following.url.scheme not in ("http", "https"):
            problem = f"redirected to {shortened(shown_address(str(following.url)), 200)}, which is not followed"
            raise TransferError(problem, passing=False)
        request = following
    raise TransferError(f"redirected more than {REDIRECTS} times", passing=False)


def _refusal(response: httpx.Response) -> TransferError:
    status = response.status_code
    try:
        problem = f"the server answers {status} ({http.HTTPStatus(status).phrase})"
    except ValueError:
        problem = f"the server answers {status}"
    pause = _asked_pause(response.headers.get("Retry-After", ""))
    if pause > LONGEST_PAUSE:
        return TransferError(f"{problem} and asks to wait for {pause:,.0f} seconds", passing=False)
    # What does not go on after so many bytes may come whole.
    return TransferError(problem, passing=status >= 500 or status in (*_PASSING, 206, 416), pause=pause)


def _asked_pause(text: str) -> float:
    """Seconds that Retry-After asks for: a number, or the time until a date."""
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


@contextlib.contextmanager
def _web_errors() -> Iterator[None]:
    """Every way in which a transfer can fail, as a TransferError."""
    try:
        yield
    except httpx.InvalidURL:
        raise TransferError("is no address that can be asked for", passing=False) from None
    except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
        raise TransferError(f"can't be reached ({shortened(str(error), 200)})") from None
    except httpx.TimeoutException:
        raise TransferError(f"no answer within {SILENCE:.0f} seconds") from None
    except TimeoutError:
        raise TransferError(f"slower than {SLOWEST:,} bytes a second") from None
    except httpx.HTTPError:
        raise TransferError("cut off by the server") from None
