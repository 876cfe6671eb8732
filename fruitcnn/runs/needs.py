"""What a training needs, looked at before anything heavy is imported, claimed or read."""

from pathlib import Path

from fruitcnn.config import Config
from fruitcnn.dataset.kind import check_kind
from fruitcnn.errors import UsageError
from fruitcnn.extras import require_extras
from fruitcnn.features.shipped import fits_shipped_network


def check_needs(config: Config) -> None:
    """Raises UsageError where photographs or an extra are missing, DatasetError for a path that holds none."""
    if config.data.path is None:
        raise UsageError("no photographs", remedy="give a folder of class folders, or a CSV")
    check_kind(Path(config.data.path))
    require_extras("report", "features", *(() if fits_shipped_network(config) else ("train",)))
