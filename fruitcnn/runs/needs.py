"""What a training needs, looked at before anything heavy is imported, claimed or read."""

from pathlib import Path

from fruitcnn.config import Config
from fruitcnn.dataset.kind import check_kind
from fruitcnn.errors import ConfigError, UsageError
from fruitcnn.extras import require_extras
from fruitcnn.features.shipped import fits_shipped_network


def check_needs(config: Config) -> None:
    """Raises UsageError where photographs or an extra are missing, DatasetError for a path that holds none."""
    if config.data.path is None:
        raise UsageError("no photographs", remedy="give a folder of class folders, or a CSV")
    check_kind(Path(config.data.path))
    if not fits_shipped_network(config) and (config.data.extend or config.data.keep_features):
        problem = "only what fits a last layer to the network that comes with fruitcnn keeps features or extends them"
        raise ConfigError(problem, value=config.name, remedy="use the recipe features")
    require_extras(*(() if fits_shipped_network(config) else ("train",)), "features", "report")
