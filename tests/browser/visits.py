"""A web server as strict as Debian's, and what a visitor of the page does."""

import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

from fruitcnn.browser.site import write_site
from fruitcnn.checkpoint import ONNX
from fruitcnn.errors import ExportError
from fruitcnn.export.source import OnnxSource
from fruitcnn.identify.identifier import Identifier
from fruitcnn.identify.results import UNKNOWN
from tests.chromium import Page
from tests.conftest import REPOSITORY

SAMPLE = REPOSITORY / "dataset/sample"
SMALL = REPOSITORY / "checkpoints/fruits-small"
# Both graphs and Pillow's decoders agree to this, says the gate of the image graph.
TOLERANCE = 1e-3


class Server:
    """A web server on the loopback that can be stopped."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


# What nginx of Debian 12 knows of the page's files; all else, .mjs too, is sent as bytes.
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "application/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path: object) -> str:
        return TYPES.get(Path(str(path)).suffix, "application/octet-stream")

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


def export_page(checkpoint: Path, folder: Path) -> Path:
    folder.mkdir()
    try:
        write_site(OnnxSource(checkpoint / ONNX), folder)
    except ExportError as error:
        # Anything else is a defect, wrong bytes above all.
        if not error.problem.startswith(("needs npm", "can't be fetched")):
            raise
        pytest.skip(f"the page can't be made here: {error}")
    return folder


def load(page: Page, server: Server) -> None:
    page.open(server.address)
    page.wait("document.documentElement.dataset.model === 'ready'")


def answers(page: Page) -> list:
    """By card, in the order of the page: probabilities, familiarity and label; None for what has no answer."""
    page.wait("document.documentElement.dataset.open === '0'")
    return page.run("[...document.querySelectorAll('.card')].map(card => card.answer ?? null)")  # type: ignore[no-any-return]


def give(page: Page, files: list[Path]) -> list:
    """The answers to files that an empty page is given."""
    page.choose("#files", files)
    found = answers(page)
    assert len(found) == len(files)
    return found


def check_against_identify(found: list, files: list[Path], tolerance: float = TOLERANCE, model: Path = SMALL) -> None:
    identifier = Identifier.load(model)
    for answer, file in zip(found, files, strict=True):
        expected = identifier.identify(file)
        assert np.abs(np.subtract(answer["probabilities"], expected.probabilities)).max() <= tolerance, file.name
        assert abs(answer["familiarity"] - expected.familiarity) <= 0.02, file.name
        assert (answer["label"] or UNKNOWN) == expected.identify_label, file.name
