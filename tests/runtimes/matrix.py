"""The rows of examples/matrix.toml: one for each runtime that is proven to give our answers."""

import dataclasses
import tomllib
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """A row of the matrix; examples/matrix.toml explains the fields."""

    name: str
    package: str
    program: str
    requirements: str
    graph: str
    tolerance: float
    pictures: float
    project: bool = False
    overlay: bool = False
    tools: tuple[str, ...] = ()
    convert: str | None = None
    source: str | None = None
    modified: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    quick: bool = False
    photographs: bool = False
    timed: bool = True
    batch: bool = False

    @property
    def lines(self) -> int:
        """Lines of the program, of what converts the model for it, and of what the converter compiles."""
        return sum(count_lines(name) for name in (self.program, self.convert, self.source) if name)


def count_lines(name: str) -> int:
    """Lines of a file of the examples."""
    return len((EXAMPLES / name).read_text(encoding="utf-8").splitlines())


def load_matrix() -> list[Runtime]:
    """All rows, in the order of the table."""
    entries = tomllib.loads((EXAMPLES / "matrix.toml").read_text(encoding="utf-8"))["runtime"]
    return [Runtime(**entry) for entry in entries]
