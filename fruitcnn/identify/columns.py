"""What the columns of results are about."""

import dataclasses

from fruitcnn.terminal import Screen


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the rows are about: the model's labels, whether it says how familiar pictures are, and who answers.

    model: its `identity`, where each row is to name it. screen: the terminal that shows them, if one does.
    longest_name: the columns that it needs for the longest name of a picture.
    """

    labels: tuple[str, ...]
    familiarity: bool = False
    model: dict[str, str] | None = None
    screen: Screen | None = None
    longest_name: int = 0
