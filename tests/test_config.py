"""Recipes: every one loads, overrides apply, and mistakes are named."""

from pathlib import Path

import pydantic
import pytest

from fruitcnn.config import RECIPES, load_config
from fruitcnn.errors import ConfigError


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_loads_and_survives_a_round_trip(recipe: str, tmp_path: Path) -> None:
    config = load_config(recipe)
    saved = tmp_path / f"{recipe}.yaml"
    saved.write_text(config.to_yaml())
    assert load_config(saved) == config


def test_overrides_and_data() -> None:
    config = load_config("quick", ["train.epochs=3", "augment.zoom=[0.5, 1.0]", "seed=9"], data="some/where")
    assert (config.train.epochs, config.augment.zoom, config.seed) == (3, (0.5, 1.0), 9)
    assert config.data.path == "some/where" and config.data.size == load_config("quick").data.size
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        config.seed = 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "did you mean 'train.epochs'"),
        ("trian.epochs=3", "did you mean 'train"),
        ("learning_rate=3", "did you mean 'train.learning_rate'"),
        ("train.epochs=0", "train.epochs"),
        ("train.epochs=many", "train.epochs"),
        ("train.epochs", "key=value"),
        ("=3", "key=value"),
        ("seed.deep=1", "seed"),
        ("train.epochs=[", "no YAML"),
        ("model.architecture=resnet", "simple_cnn, fruit_net or module:function"),
        ("augment.zoom=[2.0, 1.0]", "smallest, largest"),
        ("train.learning_rate=-1", "learning_rate"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("quick", [override])
    assert caught.value.exit_code == 2


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    for text in ("", "- a\n", "a: [", "\tx"):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"recipe\.yaml"):
            load_config(path)
    with pytest.raises(ConfigError, match="fruit_net, quick, simple_cnn"):
        load_config("fruitnet")
