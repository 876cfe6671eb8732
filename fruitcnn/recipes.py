"""The recipes that come with fruitcnn: where they are. Nothing is read here, so that a wrong name is told at once."""

from pathlib import Path

from fruitcnn.errors import ConfigError

_PACKAGE = Path(__file__).parent
# In the wheel the recipes lie inside the package, in a source tree beside it.
RECIPES = next(path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir())
DEFAULT = "features"


def find_recipe(recipe: str | Path) -> Path:
    """The YAML file meant: itself, or the one of that name that comes with fruitcnn. Raises ConfigError."""
    path = Path(recipe)
    if path.is_file():
        return path
    if (named := RECIPES / f"{recipe}.yaml").is_file():
        return named
    remedy = f"give a YAML file or one of: {', '.join(recipe_names())}"
    raise ConfigError("no such recipe", value=recipe, remedy=remedy)


def is_recipe(word: str | Path) -> bool:
    """Whether a word names a recipe rather than photographs."""
    path = Path(word)
    return str(word) in recipe_names() or (path.suffix.lower() in (".yaml", ".yml") and path.is_file())


def recipe_names() -> list[str]:
    """Of the recipes that come with fruitcnn."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))
