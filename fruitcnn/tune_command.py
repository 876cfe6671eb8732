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
    data: Annotated[
        Path, typer.Argument(metavar="PHOTOGRAPHS", help="Folder with a folder for each class, or CSV with file,label.")
    ],
    space: Annotated[Path, typer.Option(metavar="YAML", help="Ranges and choices of the recipe's settings.")],
    recipe: options.ChosenRecipe = DEFAULT,
    trials: Annotated[
        int, typer.Option(min=1, help="How many settings are tried, all runs of the command together.")
    ] = 20,
    name: Annotated[str | None, typer.Option(help="Name of the study.", show_default="the recipe's")] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database.", show_default="sqlite, in ./tuning/NAME")
    ] = None,
    folds: Annotated[int, typer.Option(min=0, help="Judge by cross-validation with so many parts; 0: not.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that try settings at the same time.")] = 1,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Override, of all trials.")] = None,
    device: Annotated[options.Device, typer.Option(help="Where to train.")] = options.Device.auto,
) -> None:
    """Search for a recipe's best settings; the same command again goes on."""
    check_photographs(data)
    find_recipe(recipe)
    require_extras("features", "tune")
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
