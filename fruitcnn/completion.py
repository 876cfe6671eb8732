"""What the shell offers for a half-typed word, once `fruitcnn --install-completion` was run."""


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes."""
    from fruitcnn.recipes import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Names of models: runs in ./checkpoints, and what comes with fruitcnn."""
    from fruitcnn.models import runs, shipped

    return [name for name in {**runs(), **shipped()} if name.startswith(incomplete)]


def complete_formats(incomplete: str) -> list[str]:
    """The last of the names of export formats that have commas between."""
    from fruitcnn.export.formats import FORMATS

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in FORMATS if name.startswith(last)]
