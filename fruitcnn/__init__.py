"""From a folder of labelled photographs to a calibrated image classifier that any runtime can use.

The public names are resolved at first use, so that `import fruitcnn` costs nothing and `Identifier` needs no torch.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fruitcnn.card import ModelCard as ModelCard
    from fruitcnn.checks.check import check as check
    from fruitcnn.checks.finding import CheckedSet as CheckedSet
    from fruitcnn.checks.finding import Finding as Finding
    from fruitcnn.config import Config as Config
    from fruitcnn.config import load_config as load_config
    from fruitcnn.errors import ConfigError as ConfigError
    from fruitcnn.errors import DatasetError as DatasetError
    from fruitcnn.errors import ExportError as ExportError
    from fruitcnn.errors import FruitcnnError as FruitcnnError
    from fruitcnn.errors import ImageError as ImageError
    from fruitcnn.errors import InterruptedTrainingError as InterruptedTrainingError
    from fruitcnn.errors import ModelError as ModelError
    from fruitcnn.errors import TransientError as TransientError
    from fruitcnn.errors import UsageError as UsageError
    from fruitcnn.evaluation.evaluate import evaluate as evaluate
    from fruitcnn.evaluation.evaluation import Evaluation as Evaluation
    from fruitcnn.export.exporter import export_checkpoint as export_checkpoint
    from fruitcnn.export.gate import Parity as Parity
    from fruitcnn.extras import MissingExtraError as MissingExtraError
    from fruitcnn.identify.data_frame import to_columns as to_columns
    from fruitcnn.identify.identifier import Identifier as Identifier
    from fruitcnn.identify.results import Identification as Identification
    from fruitcnn.identify.results import Rejection as Rejection
    from fruitcnn.runs.finished import FinishedRun as FinishedRun
    from fruitcnn.runs.finished import train as train

__version__ = "0.2.0"

# onnxruntime 1.29 and newer reports to its makers from its import on, unless it is told before. No module of ours comes
# before this one, and other processes inherit it. Whoever wants the reports sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ERRORS = (
    *("ConfigError", "DatasetError", "ExportError", "FruitcnnError"),
    *("ImageError", "InterruptedTrainingError", "ModelError", "TransientError", "UsageError"),
)
_HOME = {
    "CheckedSet": "fruitcnn.checks.finding",
    "Config": "fruitcnn.config",
    "Evaluation": "fruitcnn.evaluation.evaluation",
    "FinishedRun": "fruitcnn.runs.finished",
    "Finding": "fruitcnn.checks.finding",
    **dict.fromkeys(_ERRORS, "fruitcnn.errors"),
    "Identification": "fruitcnn.identify.results",
    "Identifier": "fruitcnn.identify.identifier",
    "MissingExtraError": "fruitcnn.extras",
    "ModelCard": "fruitcnn.card",
    "Parity": "fruitcnn.export.gate",
    "Rejection": "fruitcnn.identify.results",
    "check": "fruitcnn.checks.check",
    "export_checkpoint": "fruitcnn.export.exporter",
    "evaluate": "fruitcnn.evaluation.evaluate",
    "load_config": "fruitcnn.config",
    "to_columns": "fruitcnn.identify.data_frame",
    "train": "fruitcnn.runs.finished",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fruitcnn.extras import naming_extras

    with naming_extras():
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
