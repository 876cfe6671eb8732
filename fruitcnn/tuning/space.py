"""What is searched: ranges and choices of a recipe's settings, checked before anything is trained."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from fruitcnn.config import Config, load_config, setting_keys
from fruitcnn.errors import ConfigError
from fruitcnn.overrides import nearest, read_yaml

# They decide which pictures a trial is judged by: with them in the space, trials could not be compared.
_OF_THE_JUDGE = ("data.path", "data.outside", "data.validation_share", "data.near_duplicates", "seed")
_RANGE = {"low", "high", "step", "log"}
_EXAMPLE = "write {low: 1, high: 10}, with log: true or step: 2 where wanted, or a list of choices"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe with what is laid over it, before a trial's own settings."""

    recipe: str
    overrides: tuple[str, ...]
    data: Path

    def config(self, settings: dict[str, object]) -> Config:
        """With these settings, by their full keys. Raises ConfigError."""
        texts = [f"{key}={_yaml(value)}" for key, value in settings.items()]
        return load_config(self.recipe, [*self.overrides, *texts], data=self.data)


class Space:
    """Settings by their full keys, each with what it may be."""

    def __init__(self, distributions: dict[str, BaseDistribution]) -> None:
        self.distributions = distributions

    @classmethod
    def read(cls, path: Path, recipe: Recipe) -> "Space":
        """From YAML: a range or a list for each key. Raises ConfigError for what no trial of the recipe could be."""
        fields = read_yaml(path)
        if not isinstance(fields, dict) or not fields:
            raise ConfigError("holds no settings", value=path, remedy="name some: head.penalty: {low: 0.1, high: 100}")
        space = cls({str(key): _distribution(str(key), value, path) for key, value in fields.items()})
        for settings in space.corners():
            recipe.config(settings)
        return space

    def corners(self) -> Iterable[dict[str, object]]:
        """Settings in which each range's ends, and what is between, and each choice come once, beside others' first."""
        ends = {key: _ends(distribution) for key, distribution in self.distributions.items()}
        first = {key: values[0] for key, values in ends.items()}
        return (first | {key: value} for key, values in ends.items() for value in values)

    def suggest(self, trial: Trial) -> dict[str, object]:
        """The settings of a trial."""
        return self.settings({key: _suggested(trial, key, one) for key, one in self.distributions.items()})

    def settings(self, parameters: dict[str, Any]) -> dict[str, object]:
        """A recipe's settings, of what Optuna keeps: choices that are no single values are JSON there."""
        return {
            key: _unpacked(value) if isinstance(self.distributions[key], CategoricalDistribution) else value
            for key, value in parameters.items()
        }


def _distribution(key: str, value: object, path: Path) -> BaseDistribution:
    known = [name for name in setting_keys() if name not in _OF_THE_JUDGE]
    if key in _OF_THE_JUDGE:
        problem = f"{key} decides by which pictures a trial is judged"
        raise ConfigError(problem, value=path, remedy="set it for all trials (--set)")
    if key not in known or any(name.startswith(f"{key}.") for name in known):
        values = [name for name in known if not any(other.startswith(f"{name}.") for other in known)]
        raise ConfigError(f"unknown key {key!r}", value=path, remedy=f"did you mean {nearest(key, values)!r}?")
    try:
        if isinstance(value, list) and value:
            return CategoricalDistribution([_packed(choice) for choice in value])
        if isinstance(value, dict) and {"low", "high"} <= value.keys() <= _RANGE:
            kind = IntDistribution if all(isinstance(value[end], int) for end in ("low", "high")) else FloatDistribution
            return kind(**value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {error}", value=path, remedy=_EXAMPLE) from error
    raise ConfigError(f"{key}: is neither a range nor choices", value=path, remedy=_EXAMPLE)


def _suggested(trial: Trial, key: str, distribution: BaseDistribution) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step, log=distribution.log)


def _ends(distribution: BaseDistribution) -> list[object]:
    if isinstance(distribution, CategoricalDistribution):
        return [_unpacked(choice) for choice in distribution.choices]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    # No whole number, for a setting that has to be one.
    return [low, high, low + 0.37 * (high - low)] if isinstance(distribution, FloatDistribution) else [low, high]


def _yaml(value: object) -> str:
    """On a line; behind a single value YAML writes where the document ends."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _packed(choice: object) -> str:
    return json.dumps(choice)


def _unpacked(choice: object) -> object:
    return json.loads(str(choice))
