"""The commands that show what is there: `fruitcnn info`, `models`, `recipes`, `cache`."""

from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.completion import complete_recipe
from fruitcnn.quick_command import QuickCommand
from fruitcnn.terminal import Screen, standard_output

app = typer.Typer()


@app.command(cls=QuickCommand)
def info(
    model: options.GivenModel = None,
) -> None:
    """Show the model card: labels, input, calibration, where the model comes from."""
    from fruitcnn.identify.info import describe

    with standard_output() as stream:
        print(describe(model, Screen.behind(stream)), file=stream)


@app.command(cls=QuickCommand)
def models() -> None:
    """List the models that have a name here: runs in ./checkpoints, and those that come with fruitcnn."""
    from fruitcnn.identify.catalogue import list_models

    with standard_output() as stream:
        print(list_models(Screen.behind(stream)), file=stream)


@app.command(cls=QuickCommand)
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", autocompletion=complete_recipe, help="Recipe to print, with its comments."),
    ] = None,
) -> None:
    """List the recipes to train by (input, cost, and what each is for), or print one."""
    from fruitcnn.runs.recipe_texts import recipe_list, recipe_text

    print(recipe_list() if name is None else recipe_text(name).rstrip())


@app.command(cls=QuickCommand)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it; what is needed is computed again.")] = False,
) -> None:
    """Show the cache of computed results, with its size by kind, or clear it."""
    from fruitcnn.cache import describe_cache

    print(describe_cache(clear=clear))
