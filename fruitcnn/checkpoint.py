"""The checkpoint directory: the names of its files, and where those lie that come with fruitcnn."""

import os
from pathlib import Path

from fruitcnn.export import formats  # noqa: TID253 (rows without their writers)
from fruitcnn.locks import LOCK

KERAS = formats.KERAS.file
ONNX = formats.ONNX.file
PAGE = formats.PAGE
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
# What the last layer has learned from, where that is asked for.
KEPT = "features.npz"
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


def is_ours(folder: Path) -> bool:
    """Whether a folder is a run, an export or a report of fruitcnn, by what lies in it; nothing is opened.

    What can't be looked into is none.
    """
    try:
        if any(all((folder / name).is_file() for name in names) for names in _MARKS):
            return True
        # A run that has just been begun.
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries] == [LOCK]
    except OSError:
        return False
