"""Which recipes the network that comes with fruitcnn can serve. Free of onnx, so that it is known before any work."""

from fruitcnn import checkpoint
from fruitcnn.architectures import ARCHITECTURES
from fruitcnn.config import Config

# Every convolution of stride 2 halves an even side as long as the whole is a multiple of this; then the padding that
# is written into the graph is right for any such size.
MULTIPLE = 32


def fits_shipped_network(config: Config) -> bool:
    """Whether a recipe fits a last layer to the network that comes with fruitcnn, at a size that its graph takes."""
    row = ARCHITECTURES.get(config.model.architecture)
    wanted = config.head is not None and config.model.weights == "imagenet" and config.data.size % MULTIPLE == 0
    return wanted and row is not None and row.shipped and checkpoint.SHIPPED is not None
