"""What the light install lacks, and how to get it: the same words from the command line and from Python."""

import contextlib
import importlib.util
from collections.abc import Iterable, Iterator

from fruitcnn.errors import UsageError

# The packages that each extra brings, by the names under which they are imported.
EXTRAS = {
    "report": ("jinja2", "markupsafe"),
    "features": ("onnx", "pydantic", "yaml"),
    "sklearn": ("sklearn",),
    "video": ("av",),
    "fetch": ("httpx",),
    "tune": ("optuna",),
    "serve": ("fastapi", "uvicorn", "python_multipart"),
    "cluster": ("pyarrow", "distributed", "dask", "fsspec", "cryptography"),
    "train": (
        *("torch", "torchvision", "lightning", "keras", "onnxscript", "torchmetrics"),
        *("tensorboard", "matplotlib", "h5py"),
    ),
}
# What an extra takes, where that is more than anybody expects.
_SIZES = {"train": " (6 GB; 1.3 GB for the CPU alone: docs/install.md)"}


class MissingExtraError(UsageError, ImportError):
    """A package is not installed. The remedy says which extra brings it. It is an ImportError too."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error of an import, as one that says what to install; None where no extra would help."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            line = f"pip install 'fruitcnn[{extra}]'{_SIZES.get(extra, '')}"
            return MissingExtraError(f"{package} is missing", remedy=f"run: {line}")
    return None


def require_extras(*extras: str) -> None:
    """Raises MissingExtraError where a package of these is not installed; none of them is imported."""
    require_packages(package for extra in extras for package in EXTRAS[extra])


def require_packages(packages: Iterable[str]) -> None:
    """Raises MissingExtraError where one of these, each in an extra, is not installed; none of them is imported."""
    for package in packages:
        try:
            found = importlib.util.find_spec(package) is not None
        except ModuleNotFoundError:
            found = False
        if not found and (error := missing_extra(ModuleNotFoundError(name=package))):
            raise error


@contextlib.contextmanager
def naming_extras() -> Iterator[None]:
    """Around what imports a part of fruitcnn when it is needed: what is missing then is a MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from None
