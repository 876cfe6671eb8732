"""What a training needs, looked at before anything heavy is imported, claimed or read."""

from pathlib import Path

from fruitcnn.architectures import IMAGENET, NONE
from fruitcnn.config import Config
from fruitcnn.dataset.kind import check_kind
from fruitcnn.errors import ConfigError, UsageError
from fruitcnn.extras import require_extras
from fruitcnn.features.shipped import fits_shipped_network
from fruitcnn.models import find_run


def check_needs(config: Config) -> None:
    """Raises UsageError where photographs or an extra are missing, DatasetError for a path that holds none, ModelError.

    That is where a model to start from, or to learn from, is none.
    """
    if config.data.path is None:
        raise UsageError("no photographs", remedy="give a folder of class folders, or a CSV")
    check_kind(Path(config.data.path))
    if not fits_shipped_network(config) and (config.data.extend or config.data.keep_features):
        problem = "only what fits a last layer to the network that comes with fruitcnn keeps features or extends them"
        raise ConfigError(problem, value=config.name, remedy="use the recipe features")
    for model in models_of(config):
        find_run(model)
    require_extras(*(() if fits_shipped_network(config) else ("train",)), "features", "report")


def models_of(config: Config) -> list[str]:
    """What a training learns from besides photographs: its teacher, and the model whose weights it starts from."""
    return [model for model in (config.train.teacher, config.model.weights) if model and model not in (IMAGENET, NONE)]
