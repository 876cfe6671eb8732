"""What a request is refused with."""

from http import HTTPStatus

from starlette.responses import Response

from fruitcnn.server.limits import RETRY_AFTER


class HttpError(Exception):
    """A request that is not answered: its status, what is wrong, and what to do about it."""

    def __init__(self, status: HTTPStatus, problem: str, remedy: str) -> None:
        self.status = status
        super().__init__(f"{problem}; {remedy}")

    def response(self) -> Response:
        """The error as JSON, with the headers that its status asks for."""
        headers = {
            HTTPStatus.UNAUTHORIZED: {"www-authenticate": "Bearer"},
            HTTPStatus.TOO_MANY_REQUESTS: {"retry-after": RETRY_AFTER},
            HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": RETRY_AFTER},
        }
        return json_response({"error": str(self)}, self.status, headers.get(self.status))


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A line of JSON, written as the command line writes it."""
    import json

    text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    return Response(text, status, headers, media_type="application/json")
