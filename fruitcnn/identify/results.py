"""What comes out for one picture: an identification, or why there is none."""

import dataclasses
from typing import Any

import numpy as np
from PIL import Image

from fruitcnn.arrays import Float32Array
from fruitcnn.errors import ImageError

# The label of a picture that is unlike those that the model knows.
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Identification:
    """What a model says of one picture.

    probabilities: they sum to 1 and stand in the order of `labels`. familiarity: the share of known pictures that are
    at most as familiar, None where the model does not say; below `refuse_below` the picture is unknown. evidence:
    where the answer comes from, on request: float32 [C, h, w] for all classes of the model, whose mean over h and w is
    each one's logit. features: what the network makes of the picture before it decides, float32 [D], from an Identifier
    with `features`, None where the graph does not show it. warning: what is wrong with a picture that could be read all
    the same, "" where nothing is. picture: the pixels that were answered, stretched to the picture's own shape; only
    from `Identifier.identify`.
    """

    file: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    familiarity: float | None = None
    refuse_below: float = 0.0
    evidence: Float32Array | None = dataclasses.field(default=None, compare=False, repr=False)
    warning: str = ""
    features: Float32Array | None = dataclasses.field(default=None, compare=False, repr=False)
    picture: Image.Image | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def identify_label(self) -> str:
        """The likeliest label, or `unknown` for a picture that is unlike those that the model knows."""
        return UNKNOWN if self.is_unknown else self.likeliest_label

    @property
    def is_unknown(self) -> bool:
        """Whether the picture is unlike those that the model knows."""
        return self.familiarity is not None and not self.familiarity >= self.refuse_below

    @property
    def likeliest_label(self) -> str:
        """The likeliest label, of an unknown picture too; of equals the first."""
        return self.labels[max(range(len(self.labels)), key=self.probabilities.__getitem__)]

    @property
    def identify_rate(self) -> str | None:
        """The probability of the answer as the original system prints it: `99.39%`; None where that is `unknown`.

        How likely it is that a picture is none of the known, no probability says.
        """
        return None if self.is_unknown else f"{max(self.probabilities):.2%}"

    @property
    def prediction(self) -> dict[str, str]:
        """Every label's percentage, in class order."""
        return {label: f"{p:.2%}" for label, p in zip(self.labels, self.probabilities, strict=True)}

    def _repr_html_(self) -> str:
        """The picture, what it is and how sure that is, in a notebook."""
        from fruitcnn.notebook import identification_html

        return identification_html(self)

    def top(self, count: int | None) -> "Identification":
        """The same, with only the `count` likeliest labels (still in class order); None keeps all."""
        if count is None or count >= len(self.labels):
            return self
        # Of equals the first stays, as in identify_label.
        order = np.argsort(-np.array(self.probabilities), kind="stable")[:count]
        kept = sorted(order.tolist())
        return dataclasses.replace(
            self, labels=tuple(self.labels[i] for i in kept), probabilities=tuple(self.probabilities[i] for i in kept)
        )

    def to_dict(self) -> dict[str, Any]:
        """`file`, the original system's three keys, probabilities and (if any) familiarity as numbers, a warning."""
        familiarity = {} if self.familiarity is None else {"familiarity": self.familiarity}
        return {
            "file": self.file,
            "identify_label": self.identify_label,
            "identify_rate": self.identify_rate,
            "prediction": self.prediction,
            "probabilities": dict(zip(self.labels, self.probabilities, strict=True)),
            **familiarity,
            **({"warning": self.warning} if self.warning else {}),
        }


@dataclasses.dataclass(frozen=True)
class Rejection:
    """A picture that could not be read, and why."""

    file: str
    error: str

    @classmethod
    def of(cls, file: str, error: ImageError) -> "Rejection":
        """The rejection that an error means for a file."""
        return cls(file, f"{error.problem}; {error.remedy}")

    def to_dict(self) -> dict[str, Any]:
        """`file` and `error`."""
        return {"file": self.file, "error": self.error}
