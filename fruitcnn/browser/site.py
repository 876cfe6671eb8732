"""page/: a static folder that identifies pictures in the browser, with the image graph and ONNX Runtime's WebAssembly.

The page's own files are kept in assets; the runtime is too large to keep (see `fruitcnn.browser.npm`).
"""

import dataclasses
import hashlib
import json
from pathlib import Path

from fruitcnn.browser.npm import fetch_runtime
from fruitcnn.card import METADATA_KEY
from fruitcnn.checkpoint import CARD
from fruitcnn.errors import ExportError
from fruitcnn.export.gate import Parity
from fruitcnn.export.image_graph import prove_image_graph, write_image_graph
from fruitcnn.export.source import OnnxSource
from fruitcnn.onnx_file import check_onnx
from fruitcnn.outputs import write_text, written_whole

_ASSETS = Path(__file__).parent / "assets"
_SERVICE_WORKER = "service-worker.js"
_GRAPH = "image.onnx"
_RUNTIME_FOLDER = "onnxruntime"


def write_site(source: OnnxSource, folder: Path) -> None:
    """Write the page of a model.onnx to `folder`.

    Raises ExportError where `folder` holds something that is not an earlier page, or the runtime can't be had.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _SERVICE_WORKER).is_file():
        raise ExportError("holds something else", value=folder, remedy="name a folder that is not there yet")
    # First, because it may fail: then there is no half of a page.
    runtime = fetch_runtime()
    (folder / _RUNTIME_FOLDER).mkdir(parents=True, exist_ok=True)
    with written_whole(folder / _GRAPH) as temporary:
        write_image_graph(source, temporary)
    write_text(folder / CARD, check_onnx(source.file).metadata[METADATA_KEY])
    assets = [path for path in sorted(_ASSETS.iterdir()) if path.name != _SERVICE_WORKER]
    for path in assets:
        write_text(folder / path.name, path.read_text(encoding="utf-8"))
    for name, content in runtime.items():
        with written_whole(folder / _RUNTIME_FOLDER / name) as temporary:
            temporary.write_bytes(content)
    names = [_GRAPH, CARD, *(path.name for path in assets), *(f"{_RUNTIME_FOLDER}/{name}" for name in runtime)]
    _write_service_worker(folder, names)


def prove_site(source: OnnxSource, folder: Path) -> Parity:
    """Compare the answers of the page's graph with the model's, and say how to look at it. Raises ExportError."""
    parity = prove_image_graph(source, folder / _GRAPH)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    command = f"python -m http.server --bind 127.0.0.1 --directory {folder}"
    details = f"{size / 1e6:.1f} MB for any web server; to look at it: {command}"
    return dataclasses.replace(parity, details=details)


def _write_service_worker(folder: Path, names: list[str]) -> None:
    """With the list of files and a version that changes with any of them, so that browsers take the new ones."""
    text = (_ASSETS / _SERVICE_WORKER).read_text(encoding="utf-8")
    version = hashlib.sha256(text.encode())
    for name in names:
        version.update(hashlib.sha256((folder / name).read_bytes()).digest())
    files = json.dumps(["./", *names])
    text = text.replace('"{version}"', json.dumps(version.hexdigest()[:16])).replace('["{files}"]', files)
    write_text(folder / _SERVICE_WORKER, text)
