"""page/: a static folder that identifies pictures in the browser, with the image graph and ONNX Runtime's WebAssembly.

The page's own files are kept in assets; the runtime is too large to keep (see `fruitcnn.browser.npm`).
"""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

from fruitcnn.browser.npm import fetch_runtime
from fruitcnn.card import METADATA_KEY
from fruitcnn.checkpoint import CARD
from fruitcnn.errors import ExportError
from fruitcnn.export.gate import Parity
from fruitcnn.export.image_graph import image_graph, prove_image_graph
from fruitcnn.export.source import OnnxSource
from fruitcnn.onnx_file import check_onnx
from fruitcnn.regular_files import open_regular

_ASSETS = Path(__file__).parent / "assets"
# The two names that stay the same from version to version.
_START, _SERVICE_WORKER = "index.html", "service-worker.js"
_GRAPH = "image.onnx"
_RUNTIME_FOLDER = "onnxruntime"
_VERSION = re.compile("v-[0-9a-f]{16}")
# What a service worker of ours says, in every version that had one.
_OURS = re.compile(r'^const VERSION = ".*^const PREFIX = `fruitcnn ', re.MULTILINE | re.DOTALL)
_LONGEST_WORKER = 1 << 20


def write_site(source: OnnxSource, folder: Path) -> None:
    """Write the page of a model.onnx to `folder`: two files, and a folder named by the version that holds the others.

    So no file of one version has the name of another's, however long both lie side by side. folder: an empty one.
    Raises ExportError where the runtime can't be had.
    """
    runtime = fetch_runtime()
    files = {
        **{path.name: path.read_bytes() for path in sorted(_ASSETS.iterdir())},
        **{f"{_RUNTIME_FOLDER}/{name}": content for name, content in runtime.items()},
        _GRAPH: image_graph(source.graph).SerializeToString(deterministic=True),
        CARD: check_onnx(source.file).metadata[METADATA_KEY].encode(),
    }
    digests = {name: _digest(content) for name, content in files.items()}
    version = f"v-{_digest(json.dumps(digests).encode())[:16]}"
    start = files.pop(_START).decode().replace("{version}", version)
    worker = files.pop(_SERVICE_WORKER).decode().replace("{version}", version)
    for name, content in files.items():
        _write(folder / version / name, content)
    kept = {f"{version}/{name}": digests[name] for name in files}
    listed = json.dumps({_START: _digest(start.encode()), **kept}, indent=1)
    _write(folder / _START, start.encode())
    _write(folder / _SERVICE_WORKER, worker.replace('{ "{files}": "" }', listed).encode())


def prove_site(source: OnnxSource, folder: Path) -> Parity:
    """Compare the answers of the page's graph with the model's, and its files with their digests.

    Says how to look at the page. Raises ExportError.
    """
    worker = (folder / _SERVICE_WORKER).read_text(encoding="utf-8")
    listed = re.search(r"^const FILES = (\{.*?\});", worker, re.MULTILINE | re.DOTALL)
    digests = json.loads(listed[1]) if listed else {}
    wrong = [name for name, digest in digests.items() if _digest((folder / name).read_bytes()) != digest]
    if wrong or not digests:
        raise ExportError(f"its files {wrong} are not those listed", value=folder, remedy="export it again")
    (graph,) = (name for name in digests if name.endswith(f"/{_GRAPH}"))
    parity = prove_image_graph(source, folder / graph)
    size = sum((folder / name).stat().st_size for name in digests)
    command = f"python -m http.server --bind 127.0.0.1 --directory {folder}"
    return dataclasses.replace(parity, details=f"{size / 1e6:.1f} MB for any web server; to look at it: {command}")


def earlier_site(folder: Path) -> list[str] | None:
    """The folders of versions, where a page lies in a folder; None where none does."""
    try:
        with open_regular(folder / _SERVICE_WORKER, through_links=False) as file:
            worker = file.read(_LONGEST_WORKER).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not _OURS.search(worker):
        return None
    versions = (entry for entry in folder.iterdir() if _VERSION.fullmatch(entry.name))
    return [entry.name for entry in versions if entry.is_dir() and not entry.is_symlink()]


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
