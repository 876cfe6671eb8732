"""ONNX Runtime's WebAssembly from npm, in one version, and only with the bytes that were looked at for it."""

import base64
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from fruitcnn import checkpoint
from fruitcnn.errors import ExportError

_PACKAGE = "onnxruntime-web@1.30.0"
_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# As npm calls them -> as the page does: servers that know .js do not all know .mjs, and browsers want the type.
_FILES = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
# The package on npm has none; they are those of the same project, which the Python package brings along.
_LICENCES = ("LICENSE", "ThirdPartyNotices.txt")


def fetch_runtime() -> dict[str, bytes]:
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
        found = {name: files.extractfile(f"package/dist/{theirs}") for theirs, name in _FILES.items()}
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
            raise ExportError("needs npm, which is not here", value=checkpoint.PAGE, remedy="install Node.js") from None
        except subprocess.TimeoutExpired:
            raise _unfetched("no answer within five minutes") from None
        if done.returncode:
            complaint = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            raise _unfetched("; ".join(line.removeprefix("npm error ") for line in complaint[:2]) or "npm failed")
        (archive,) = Path(folder).glob("*.tgz")
        return archive.read_bytes()


def _unfetched(reason: str) -> ExportError:
    locked = any(code in reason for code in ("EACCES", "EROFS"))
    remedy = "let npm write its cache (npm_config_cache=FOLDER)" if locked else "connect to the network"
    return ExportError(f"can't be fetched with npm ({reason})", value=_PACKAGE, remedy=f"{remedy}, then try again")
