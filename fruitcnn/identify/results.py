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
    """The answer of a model to one picture. A notebook shows the picture, and a bar for each label.

    Attributes:
        file: The path of the picture. For a source without a path its kind, such as "<bytes>".
        labels: The labels of the model.
        probabilities: The probabilities in the order of `labels`. They sum to 1.
        familiarity: The share of known pictures that are at most as familiar, 0 to 1. None where the model does not
            say it.
        refuse_below: The familiarity below which the picture is unknown.
        evidence: Where the answer comes from: float32 [C, h, w]. The mean over h and w is the logit of each of the C
            classes of the model. None without `evidence=True`.
        warning: What is wrong with a picture that can be read all the same. Empty where nothing is.
        features: The last features of the network: float32 [D]. None where they were not asked for.
        picture: The picture as the model saw it, in its own aspect ratio. Only `Identifier.identify` gives it.
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
        """The likeliest label, or "unknown" for a picture that is unlike those that the model knows."""
        return UNKNOWN if self.is_unknown else self.likeliest_label

    @property
    def is_unknown(self) -> bool:
        """Whether the picture is unlike those that the model knows."""
        return self.familiarity is not None and not self.familiarity >= self.refuse_below

    @property
    def likeliest_label(self) -> str:
        """The likeliest label, for an unknown picture too."""
        return self.labels[max(range(len(self.labels)), key=self.probabilities.__getitem__)]

    @property
    def identify_rate(self) -> str | None:
        """The probability of the answer, as in "99.39%". None where the answer is unknown.

        The probabilities do not say how likely it is that a picture is of none of the classes.
        """
        return None if self.is_unknown else f"{max(self.probabilities):.2%}"

    @property
    def prediction(self) -> dict[str, str]:
        """The percentage of each label, in the order of `labels`."""
        return {label: f"{p:.2%}" for label, p in zip(self.labels, self.probabilities, strict=True)}

    def _repr_html_(self) -> str:
        """The picture, what it is and how sure that is, in a notebook."""
        from fruitcnn.notebook import identification_html

        return identification_html(self)

    def top(self, count: int | None) -> "Identification":
        """Return the same answer with only the likeliest labels. They keep their order.

        Args:
            count: How many labels to keep. None keeps all.
        """
        if count is None or count >= len(self.labels):
            return self
        # Of equals the first stays, as in identify_label.
        order = np.argsort(-np.array(self.probabilities), kind="stable")[:count]
        kept = sorted(order.tolist())
        return dataclasses.replace(
            self, labels=tuple(self.labels[i] for i in kept), probabilities=tuple(self.probabilities[i] for i in kept)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answer, ready for JSON: file, label and rate, and all probabilities as texts and as numbers."""
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
    """A picture that can't be read.

    Attributes:
        file: The path of the picture.
        error: What is wrong, and what to do.
    """

    file: str
    error: str

    @classmethod
    def of(cls, file: str, error: ImageError) -> "Rejection":
        """Make a rejection of an error.

        Args:
            file: The path of the picture.
            error: What is wrong with it.
        """
        return cls(file, f"{error.problem}; {error.remedy}")

    def to_dict(self) -> dict[str, Any]:
        """Return `file` and `error`, ready for JSON."""
        return {"file": self.file, "error": self.error}
