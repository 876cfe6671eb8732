"""`fruitcnn tune`: its words."""

from pathlib import Path
from typing import Annotated

import typer

from fruitcnn import options
from fruitcnn.extras import require_extras
from fruitcnn.quick_command import QuickCommand
from fruitcnn.recipes import DEFAULT, find_recipe
from fruitcnn.train_command import check_photographs

app = typer.Typer()


@app.command(cls=QuickCommand)
def tune(
    data: Annotated[Path, typer.Argument(metavar="PHOTOGRAPHS", help=options.LABELLED_HELP)],
    space: Annotated[
        Path, typer.Option(metavar="YAML", help="File with the ranges and choices of settings to search.")
    ],
    recipe: options.ChosenRecipe = DEFAULT,
    trials: Annotated[
        int, typer.Option(min=1, metavar="N", help="Settings to try, over all runs of this command.")
    ] = 20,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of the search, which a later run continues.", show_default="the recipe's"
        ),
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database of the trials.", show_default="SQLite, in ./tuning/NAME")
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, metavar="N", help="Folds of cross-validation; 0: judge by the validation split.")
    ] = 0,
    workers: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Trials at the same time, each in a process.")
    ] = 1,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=options.SET_HELP)] = None,
    device: Annotated[options.Device, typer.Option(help=options.DEVICE_HELP)] = options.Device.auto,
) -> None:
    """Search for the best settings of a recipe; the same command again continues the search."""
    check_photographs(data)
    find_recipe(recipe)
    require_extras("tune", "features")
    from fruitcnn.tuning.search import Search
    from fruitcnn.tuning.space import Recipe
    from fruitcnn.tuning.tune import tune as search_settings

    study = name or Path(recipe).stem
    folder = Path("tuning", study)
    search_settings(
        Search(
            recipe=Recipe(recipe, tuple(set_ or ()), data),
            space=space,
            trials=trials,
            storage=storage or f"sqlite:///{folder / 'study.db'}",
            name=study,
            folds=folds,
            device=device.value,
            folder=folder,
        ),
        workers=workers,
    )
