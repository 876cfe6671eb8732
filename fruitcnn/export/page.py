"""page/: a static folder that identifies pictures in the browser, with the image graph and ONNX Runtime's WebAssembly.

The page's own files are kept in assets/page. The runtime is too large to keep: it comes from npm, in one version, and
only with the bytes that were looked at when this was written.
"""

import base64
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from fruitcnn.card import METADATA_KEY
from fruitcnn.checkpoint import CARD
from fruitcnn.errors import ExportError
from fruitcnn.export.image_graph import FILE as IMAGE
from fruitcnn.export.image_graph import write_image_graph
from fruitcnn.onnx_file import check_onnx
from fruitcnn.outputs import write_text, written_whole

FOLDER = "page"
_ASSETS = Path(__file__).parent / "assets/page"
_SERVICE_WORKER = "service-worker.js"
_PACKAGE = "onnxruntime-web@1.30.0"
_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_RUNTIME_FOLDER = "onnxruntime"
# The package on npm has none; they are those of the same project, which the Python package brings along.
_LICENCES = ("LICENSE", "ThirdPartyNotices.txt")


def write_page(model_file: Path, folder: Path) -> int:
    """Write the page of a model.onnx to `folder`; its bytes altogether.

    Raises ExportError where `folder` holds something that is not an earlier page, or the runtime can't be had.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _SERVICE_WORKER).is_file():
        raise ExportError("holds something else", value=folder, remedy="name a folder that is not there yet")
    # First, because it may fail: then there is no half of a page.
    runtime = _fetch_runtime()
    (folder / _RUNTIME_FOLDER).mkdir(parents=True, exist_ok=True)
    write_image_graph(model_file, folder / IMAGE)
    write_text(folder / CARD, check_onnx(model_file).metadata[METADATA_KEY])
    assets = [path for path in sorted(_ASSETS.iterdir()) if path.name != _SERVICE_WORKER]
    for path in assets:
        write_text(folder / path.name, path.read_text(encoding="utf-8"))
    for name, content in runtime.items():
        with written_whole(folder / _RUNTIME_FOLDER / name) as temporary:
            temporary.write_bytes(content)
    names = [IMAGE, CARD, *(path.name for path in assets), *(f"{_RUNTIME_FOLDER}/{name}" for name in runtime)]
    _write_service_worker(folder, names)
    return sum((folder / name).stat().st_size for name in (*names, _SERVICE_WORKER))


def _write_service_worker(folder: Path, names: list[str]) -> None:
    """With the list of files and a version that changes with any of them, so that browsers take the new ones."""
    text = (_ASSETS / _SERVICE_WORKER).read_text(encoding="utf-8")
    version = hashlib.sha256(text.encode())
    for name in names:
        version.update(hashlib.sha256((folder / name).read_bytes()).digest())
    files = json.dumps(["./", *names])
    text = text.replace('"{version}"', json.dumps(version.hexdigest()[:16])).replace('["{files}"]', files)
    write_text(folder / _SERVICE_WORKER, text)


def _fetch_runtime() -> dict[str, bytes]:
    """The runtime's files and its licences, by name. Raises ExportError."""
    archive = _npm_pack()
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if f"sha512-{digest}" != _INTEGRITY:
        raise ExportError(
            f"npm brought other bytes than those that belong here (sha512-{digest})",
            value=_PACKAGE,
            remedy="clear npm's cache (npm cache clean --force), and ask who runs the registry that npm uses",
        )
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        found = {name: files.extractfile(f"package/dist/{name}") for name in _RUNTIME}
        runtime = {name: file.read() for name, file in found.items() if file is not None}
    own = Path(onnxruntime.__file__).parent
    return runtime | {name: (own / name).read_bytes() for name in _LICENCES}


def _npm_pack() -> bytes:
    with TemporaryDirectory() as folder:
        # What npm has fetched before, it finds again without a network.
        command = ["npm", "pack", _PACKAGE, "--prefer-offline", "--ignore-scripts", "--pack-destination", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)
        except FileNotFoundError:
            raise ExportError("needs npm, which is not here", value=FOLDER, remedy="install Node.js") from None
        except subprocess.TimeoutExpired:
            raise _unfetched("no answer within five minutes") from None
        if done.returncode:
            complaint = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            raise _unfetched("; ".join(line.removeprefix("npm error ") for line in complaint[:2]) or "npm failed")
        (archive,) = Path(folder).glob("*.tgz")
        return archive.read_bytes()


def _unfetched(reason: str) -> ExportError:
    return ExportError(
        f"can't be fetched with npm ({reason})", value=_PACKAGE, remedy="connect to the network, then try again"
    )
