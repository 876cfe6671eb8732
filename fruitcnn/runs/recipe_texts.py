"""What people read of the recipes that come with fruitcnn; all of it from the recipes themselves."""

import shutil
import textwrap

from fruitcnn.config import Config, load_config
from fruitcnn.recipes import DEFAULT, find_recipe, recipe_names
from fruitcnn.wording import counted

_INDENT = 2


def recipe_list() -> str:
    """Each recipe with its input, its cost and what it is for, as wide as the terminal."""
    width = min(100, shutil.get_terminal_size().columns - 1)
    blocks = []
    for name in recipe_names():
        standard = "  (the one without --recipe)" if name == DEFAULT else ""
        paragraphs = (describe_recipe(load_config(name)), _purpose(recipe_text(name)))
        indent = " " * _INDENT
        told = [textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent) for text in paragraphs]
        blocks.append("\n".join([name + standard, *told]))
    more = "fruitcnn recipes NAME prints one, to be copied and changed."
    return "\n\n".join([*blocks, more])


def recipe_text(name: str) -> str:
    """A recipe as it is written, comments too. Raises ConfigError where there is none of that name."""
    return find_recipe(name).read_text(encoding="utf-8")


def describe_recipe(config: Config) -> str:
    """Input, network and cost in a line."""
    model, train, folds = config.model, config.train, config.data.calibration_folds
    start = {"none": "from scratch", "imagenet": "from ImageNet's weights"}.get(model.weights, f"from {model.weights}")
    if config.head:
        views = " and its mirror image" if config.head.mirrored else ""
        cost = f"its last layer alone, after one pass over each picture{views}"
    else:
        cost = counted(train.epochs, "epoch", "epochs") + (f", {1 + folds} times" if folds else "")
    return f"{config.data.size} px, {model.architecture} {start}; {cost}"


def _purpose(text: str) -> str:
    """The comment that a recipe begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
