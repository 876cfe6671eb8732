"""The checkpoint directory: the names of its files, and finding the one to use."""

import os
from pathlib import Path

from fruitcnn.errors import ModelError
from fruitcnn.export import formats  # noqa: TID253 (rows without their writers)
from fruitcnn.locks import LOCK

KERAS = formats.KERAS.file
ONNX = formats.ONNX.file
CARD = "card.json"
CONFIG = "config.yaml"
SPLIT = "split.csv"
METRICS_BY_EPOCH = "metrics.csv"
METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
REFERENCE = "reference.npz"
REPORT = "report.html"
CURVES = "curves.png"
CONFUSION = "confusion.png"
LAST = "last.ckpt"
OF_EPOCHS = (METRICS_BY_EPOCH, CURVES, CONFUSION, LAST)
# What a finished run holds, besides the folder of TensorBoard logs; one that has no epochs has none of theirs.
FILES = (
    *(format.file for format in formats.of_every_run()),
    *(CARD, REFERENCE, CONFIG, SPLIT, METRICS, PREDICTIONS, REPORT),
    *OF_EPOCHS,
)
LOGS = "logs"
GOLDEN = "golden.json"
# Of a run that calibrates by networks of its own, besides: each with its last.ckpt.
FOLDS = "folds"

# Each of these sets is in a folder that fruitcnn has written: a finished run or an export, a run, an evaluation, golden
# vectors.
_MARKS = ((CARD, ONNX), (CONFIG, SPLIT), (REPORT, PREDICTIONS), (GOLDEN,))

ROOT = Path("checkpoints")
_PACKAGE = Path(__file__).parent
# In the wheel the shipped model lies inside the package, in a source tree beside it.
SHIPPED = next(
    (path for path in (_PACKAGE / "checkpoints/fruits", _PACKAGE.parent / "checkpoints/fruits") if path.is_dir()), None
)


def newest(root: Path = ROOT) -> Path | None:
    """The run below `root` whose model was written last; None where there is none."""
    models = [path for path in root.glob(f"*/{ONNX}") if not path.parent.name.startswith(".")]
    return max(models, key=lambda path: path.stat().st_mtime).parent if models else None


def is_ours(folder: Path) -> bool:
    """Whether a folder is a run, an export or a report of fruitcnn, by what lies in it; nothing is opened."""
    if any(all((folder / name).is_file() for name in names) for names in _MARKS):
        return True
    try:
        # A run that has just been begun.
        return [entry.name for entry in os.scandir(folder)] == [LOCK]
    except OSError:
        return False


def find_model(path: str | os.PathLike[str] | None = None) -> Path:
    """The ONNX file meant by `path`: itself, the one in that checkpoint directory, or (None) the default model.

    The default is the newest run in ./checkpoints, else the model that comes with fruitcnn. Raises ModelError.
    """
    if path is None:
        folder = newest() or SHIPPED
        if folder is None:
            raise ModelError("no model in ./checkpoints", remedy="train one (`fruitcnn train`), or name one (--model)")
        return folder / ONNX
    path = Path(path)
    model = path / ONNX if path.is_dir() else path
    if not model.is_file():
        problem = f"no {ONNX} in this folder" if path.is_dir() else "no such model"
        raise ModelError(problem, value=path, remedy="give a checkpoint directory or an .onnx file")
    return model


def model_name(file: Path) -> str:
    """What a model is called: after its checkpoint directory, or after its file where that has a name of its own."""
    return file.resolve().parent.name if file.name == ONNX else file.stem
