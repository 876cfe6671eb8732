"""Reading model.keras files."""

from pathlib import Path

import keras

from fruitcnn.errors import ModelError


def load_keras(path: Path) -> keras.Model:
    """The model in a .keras file. Raises ModelError where it can't be loaded."""
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        # Keras raises what its many readers raise.
        raise ModelError(f"can't be loaded ({error})", value=path, remedy="give the model.keras of a run") from error


def blend_weights(model: keras.Model, path: Path, *, share: float = 1.0) -> None:
    """Move `model` to the weights of an earlier run, by `share` of the way.

    All the way is where to start a second training from; a part of it, after that training, keeps what the first one
    knew (WiSE-FT, Wortsman et al. 2022). Raises ModelError where the weights are not of the same network.
    """
    stored = {variable.path: variable for variable in load_keras(path).weights}
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    if shapes != {name: tuple(variable.shape) for name, variable in stored.items()}:
        problem = f"holds another network than {model.name}, or another number of classes"
        raise ModelError(problem, value=path, remedy="start from a run of the same recipe and classes")
    for variable in model.weights:
        variable.assign((1 - share) * variable.value + share * stored[variable.path].value)
