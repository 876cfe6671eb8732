"""The errors that fruitcnn raises for the person who has to act on them."""


class FruitcnnError(Exception):
    """Something a user can mend. `str(error)` reads `value: problem; remedy`.

    `problem` says what is wrong, `value` names the file, key or argument it is wrong with, `remedy` says what to do.
    """

    exit_code = 1

    def __init__(self, problem: str, *, value: object = None, remedy: str = "") -> None:
        self.problem = problem
        self.value = value
        self.remedy = remedy
        head = f"{value}: {problem}" if value is not None else problem
        super().__init__(f"{head}; {remedy}" if remedy else head)


class ImageError(FruitcnnError):
    """A file or buffer that can't be read as a picture."""


class DatasetError(FruitcnnError):
    """A set of photographs that can't be trained on as it stands."""


class ConfigError(FruitcnnError):
    """A recipe, or a `--set`, that is not valid."""

    exit_code = 2


class ModelError(FruitcnnError):
    """A model file, model card or checkpoint directory that is missing or not understood."""


class ExportError(FruitcnnError):
    """An export that did not agree with the trained model, or could not be made."""


class UsageError(FruitcnnError):
    """A command called in a way that can't work: a missing path, a missing extra."""

    exit_code = 2
