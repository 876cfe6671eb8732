"""`fruitcnn train`: its words, and what those that it does not know were meant to be."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from fruitcnn import options
from fruitcnn.completion import complete_model
from fruitcnn.dataset.kind import check_kind
from fruitcnn.errors import ConfigError, UsageError
from fruitcnn.quick_command import QuickCommand
from fruitcnn.recipes import DEFAULT, find_recipe, is_recipe
from fruitcnn.terminal import print_wrapped

app = typer.Typer()

_OLD_DATA = "--data"

_Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Start of all random numbers: the same seed gives the same run and split.",
        show_default="the recipe's",
    ),
]
_RunName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Name of the run, a folder in ./checkpoints.", show_default="the recipe's, numbered"
    ),
]
_Extended: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="CHECKPOINT",
        autocompletion=complete_model,
        help="Run with kept features (data.keep_features), to learn from them too.",
    ),
]


class TrainCommand(QuickCommand):
    """For `@app.command(cls=TrainCommand)`: an unknown option names the nearest option, or key of a recipe."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Raises UsageError with the right line for an option that there is not."""
        words = list(args)
        try:
            return list(super().parse_args(ctx, args))
        except Exception as error:
            # Only an option that does not exist has this, under typer and click alike.
            if not hasattr(error, "possibilities"):
                raise
            option = str(getattr(error, "option_name", ""))
            if option == _OLD_DATA:
                raise UsageError("the photographs come first", value=option, remedy=_new_order(words)) from None
            known = [name for parameter in self.get_params(ctx) for name in parameter.opts]
            remedy = f"did you mean {_nearest_option(option, known)}?"
            raise UsageError("no such option", value=option, remedy=remedy) from None


@app.command(cls=TrainCommand)
def train(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="PHOTOGRAPHS", help=options.LABELLED_HELP, show_default="the recipe's data.path"),
    ] = None,
    recipe: options.ChosenRecipe = DEFAULT,
    epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="How often each picture is learned from.", show_default="the recipe's"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Side of the network's input.", show_default="the recipe's")
    ] = None,
    seed: _Seed = None,
    split: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="split.csv of an earlier run, whose pictures stay in their splits."),
    ] = None,
    fixes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Pictures to leave out or relabel, as `dataset check --fixes` lists them."),
    ] = None,
    name: _RunName = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=options.SET_HELP),
    ] = None,
    device: Annotated[options.Device, typer.Option(help=options.DEVICE_HELP)] = options.Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    extend: _Extended = None,
) -> None:
    """Train a network on labelled photographs, export it, and prove that the exported files agree with it."""
    # A mistake in these is told before the seconds that importing torch takes.
    check_photographs(data)
    find_recipe(recipe)
    from fruitcnn.config import load_config

    own = {"train.epochs": epochs, "data.size": size, "seed": seed}
    paths = {"data.split": split, "data.fixes": fixes, "data.extend": extend}
    settings = training_settings(set_, own, paths)
    try:
        loaded = load_config(recipe, settings, data=data)
    except ConfigError as error:
        raise _by_options(error, own) from None
    from fruitcnn.runs.folder import Claim
    from fruitcnn.runs.stages import train_config

    claim, inputs = Claim(name=name, resume=resume), [Path(recipe)]
    train_config(loaded, claim, device=device.value, inputs=inputs, print_line=print_wrapped)


def training_settings(
    settings: list[str] | None, own: Mapping[str, object], paths: Mapping[str, str | Path | None]
) -> list[str]:
    """What `--set` says and what options of their own say, as `key=value`; None is not said."""
    # Quoted: a path may look like anything else in YAML.
    quoted = {key: None if path is None else json.dumps(str(path)) for key, path in paths.items()}
    return [*(settings or []), *(f"{key}={value}" for key, value in {**own, **quoted}.items() if value is not None)]


def _by_options(error: ConfigError, own: Mapping[str, object]) -> ConfigError:
    """The same error, which names an option as it was written: `--epochs 0` for train.epochs=0."""
    value = str(error.value)
    for key, given in own.items():
        value = value.replace(f"{key}={given}", f"--{key.rpartition('.')[2]} {given}")
    return ConfigError(error.problem, value=value, remedy=error.remedy)


def check_photographs(data: Path | None) -> None:
    """Raises UsageError where a recipe stands in the photographs' place, DatasetError where nothing does."""
    if data is None:
        return
    if is_recipe(data) and not data.is_dir():
        line = _line("PHOTOGRAPHS", str(data))
        raise UsageError("is a recipe; the photographs come first", value=data, remedy=f"run: {line}")
    check_kind(data)


def _new_order(words: list[str]) -> str:
    """The line that does what `train RECIPE --data PHOTOGRAPHS ...` did."""
    rest, data = list[str](), "PHOTOGRAPHS"
    given = iter(words)
    for word in given:
        if word == _OLD_DATA:
            data = next(given, data)
        elif word.startswith(f"{_OLD_DATA}="):
            data = word.partition("=")[2]
        else:
            rest.append(word)
    recipe = next((word for word in rest if is_recipe(word)), DEFAULT)
    return f"run: {_line(data, recipe, [word for word in rest if word != recipe])}"


def _line(data: str, recipe: str, more: list[str] | None = None) -> str:
    return shlex.join(["fruitcnn", "train", data, *([] if recipe == DEFAULT else ["-r", recipe]), *(more or [])])


def _nearest_option(option: str, known: list[str]) -> str:
    """The option that is most like this one, or `--set KEY=...` where a key of a recipe is more like it."""
    import difflib

    from fruitcnn.config import setting_keys

    # `--learning-rate` is train.learning_rate, by its last word as well as in full.
    keys: dict[str, str] = {}
    for key in setting_keys():
        for name in (key, key.rpartition(".")[2]):
            keys.setdefault(f"--{name.replace('_', '-')}", f"--set {key}=...")
    meant = {**keys, **{name: name for name in known}}
    nearest = difflib.get_close_matches(option.replace("_", "-"), meant, n=1, cutoff=0)[0]
    return meant[nearest]
