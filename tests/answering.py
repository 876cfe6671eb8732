"""What answers requests on the loopback: the part that all servers of the tests have in common."""

import contextlib
from http.server import BaseHTTPRequestHandler


class Answering(BaseHTTPRequestHandler):
    """Sends whole answers, and says nothing of it. answer: what a GET is answered with."""

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        # Who hangs up in the middle is what is tested.
        with contextlib.suppress(ConnectionError):
            self.answer()

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def send(self, body: bytes, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
