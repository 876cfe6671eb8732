"""Recipes: every one loads, overrides apply, and mistakes are named."""

import os
from pathlib import Path

import pydantic
import pytest

from fruitcnn.config import load_config
from fruitcnn.errors import ConfigError
from fruitcnn.recipes import RECIPES


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
    assert load_config("quick", {"split": Path("earlier/split.csv")}).data.split == "earlier/split.csv"
    off = load_config("quick", ["data.near_duplicates=off", "train.compile=off"])
    assert (off.data.near_duplicates, off.train.compile) == ("off", "off"), "to YAML a bare off is false"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "did you mean 'train.epochs'"),
        ("trian.epochs=3", "did you mean 'train"),
        ("train.foo=3", r"did you mean 'train\.\w+'"),
        ("learning_rate=3", "did you mean 'train.learning_rate'"),
        ("train.epochs=0", "train.epochs"),
        ("train.epochs=many", "train.epochs"),
        ("train.epochs", "key=value"),
        ("=3", "key=value"),
        ("seed.deep=1", "seed"),
        ("train.epochs=[", "no YAML"),
        (
            "model.architecture=resnet",
            "must be simple_cnn, fruit_net, efficientnet_lite0, .* keras.applications.<Name> or module:function",
        ),
        ("augment.zoom=[2.0, 1.0]", "smallest, largest"),
        ("train.learning_rate=-1", "learning_rate"),
        ("augment.zoom=[1.0, .inf]", "augment.zoom"),
        ("augment.rotation=.nan", "augment.rotation"),
        (f"seed={2**32}", "seed"),
        ("train.batch_size=1000000000000000000000", "train.batch_size"),
        (f"train.epochs={'9' * 5000}", "no YAML"),
        ("train.epochs=" + "[" * 5000, "nested too deep"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("quick", [override])
    assert caught.value.exit_code == 2


def test_a_mistake_is_blamed_on_who_made_it(tmp_path: Path) -> None:
    """The setting as it was written, or the file where that has it by itself."""
    own = tmp_path / "own.yaml"
    own.write_text("data: {size: 32}\nmodel: {architecture: fruit_net}\ntrain: {epochs: 0}\n")
    both = tmp_path / "both.yaml"
    both.write_text("data: {size: 32}\nmodel: {architecture: efficientnet_lite0}\nhead: {}\ntrain: {ema: 0.9}\n")
    together = "train and augment have no meaning"
    for recipe, overrides, told in [
        ("features", {"epochs": 0}, "epochs=0: must be at least 1; mend the value"),
        ("features", {"train__epochs": "many"}, "train__epochs='many': must be a whole number"),
        ("features", ["train.epochs=0"], "train.epochs=0: must be at least 1; mend the value"),
        ("features", ["train={epochs: 0}"], "train={epochs: 0}: train.epochs: must be at least 1"),
        ("features", ["train.epoch=0"], "train.epoch=0: unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("features", ["seed.deep=1"], "seed.deep=1: seed: must be a whole number"),
        ("features", ["seed=1", "train.ema=0.5"], f"seed=1, train.ema=0.5: {together}"),
        (own, ["seed=1"], f"{own}: train.epochs: must be at least 1; mend the value"),
        (own, ["train.epochs=-1"], "train.epochs=-1: must be at least 1"),
        (both, ["seed=1"], f"{both}: {together}"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(recipe, overrides)
        assert str(caught.value).startswith(told), caught.value


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    for text in ("", "- a\n", "a: [", "\tx", "a: " + "[" * 5000, "a: 2020-99-99"):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"recipe\.yaml"):
            load_config(path)
    with pytest.raises(ConfigError, match="fruit_net, quick, simple_cnn"):
        load_config("fruitnet")


def test_a_recipe_whose_data_is_no_section(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: 3\n")
    with pytest.raises(ConfigError, match="'data' has no keys"):
        load_config(path, data="somewhere")


def test_paths_that_are_no_text_come_back_as_they_were(tmp_path: Path) -> None:
    config = load_config("quick", data=os.fsdecode(b"pictures\xff\x1b[2J"))
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(tmp_path / "config.yaml").data.path == config.data.path


def test_a_recipe_is_no_wider_than_a_terminal() -> None:
    for path in RECIPES.glob("*.yaml"):
        wide = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 80]
        assert not wide, f"{path.name}: {wide}"
