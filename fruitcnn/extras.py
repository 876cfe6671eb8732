"""What the light install lacks, and how to get it: the same words from the command line and from Python."""

from fruitcnn.errors import UsageError

# The packages that each extra brings, by the names under which they are imported.
EXTRAS = {
    "train": (
        *("torch", "torchvision", "lightning", "keras", "onnx", "onnxscript", "torchmetrics"),
        *("tensorboard", "matplotlib", "pydantic", "yaml"),
    ),
    "report": ("jinja2", "markupsafe"),
}


class MissingExtraError(UsageError, ImportError):
    """Something of fruitcnn that needs packages which are not installed."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error of an import, as one that says what to install; None where no extra would help."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return MissingExtraError(f"{package} is missing", remedy=f"run: pip install 'fruitcnn[{extra}]'")
    return None
