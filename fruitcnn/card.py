"""The model card: all that a runtime must know to use a model, as JSON and as ONNX metadata."""

import dataclasses
import json
from typing import Any

from fruitcnn.errors import ModelError, shortened
from fruitcnn.image import FILTERS, RESIZE_RULES
from fruitcnn.onnx_file import OnnxFile

# What every model.onnx calls its input and its outputs.
INPUT = "image"
PROBABILITIES, FAMILIARITY, EVIDENCE = "probabilities", "familiarity", "evidence"
FORMAT = "fruitcnn-card/1"
# The key in the ONNX file's metadata_props under which the card lies as JSON.
METADATA_KEY = "fruitcnn.card"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model expects, and where it comes from. It lies in the model's file.

    Attributes:
        labels: The class names, in the order of the probabilities.
        size: The side of the square input, in pixels.
        resize: How a picture of any shape becomes square: "squash" stretches it.
        filter: The filter of that resize, such as "bilinear".
        outputs: The outputs of the graph, each a dict with its `name`: probabilities, familiarity or evidence.
        temperature: What calibration divides the logits by. The weights contain it already.
        provenance: Facts about the training: architecture, pictures, accuracy, versions, date.
        extra: Other keys of the card, from later versions. They are kept and not used.
    """

    labels: tuple[str, ...]
    size: int
    resize: str = "squash"
    filter: str = "bilinear"
    outputs: tuple[dict[str, Any], ...] = ({"name": PROBABILITIES},)
    temperature: float = 1.0
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def refuse_below(self) -> float | None:
        """The familiarity below which a picture is unknown. None for a model that has no familiarity."""
        familiarity = self._output(FAMILIARITY)
        return None if familiarity is None else float(familiarity.get("refuse_below", 0.05))

    @property
    def refuses_members(self) -> float | None:
        """The largest share of new pictures of its classes that it calls unknown. None where the card promises none."""
        promised = (self._output(FAMILIARITY) or {}).get("refuses_members")
        return float(promised) if isinstance(promised, int | float) else None

    @property
    def calibrated_on(self) -> int | None:
        """The number of pictures that this promise rests on, none of which the model learned from. None if unknown."""
        count = (self._output(FAMILIARITY) or {}).get("calibrated_on")
        return count if isinstance(count, int) else None

    def shapes(self) -> dict[str, list[int]]:
        """Return the shapes of the graph's input and outputs by name, without the batch.

        It leaves out the outputs of later versions, and an evidence grid that the card does not give.
        """
        classes = len(self.labels)
        known = {PROBABILITIES: [classes], FAMILIARITY: []}
        if (evidence := self._output(EVIDENCE)) is not None:
            known[EVIDENCE] = [classes, *evidence.get("grid", [])]
        return {INPUT: [3, self.size, self.size], **{name: known[name] for name in known if self._output(name)}}

    def _output(self, name: str) -> dict[str, Any] | None:
        return next((output for output in self.outputs if output.get("name") == name), None)

    def labels_shown(self, most: int = 12) -> str:
        """Return the labels in one line.

        Args:
            most: How many labels to show. For the others it gives their number.
        """
        more = f" and {len(self.labels) - most:,} more" if len(self.labels) > most else ""
        return ", ".join(shortened(label, 60) for label in self.labels[:most]) + more

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(_merged(self._fields(), self.extra), indent=2, ensure_ascii=False) + "\n"

    def _fields(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "labels": self.labels,
            "input": {
                "name": INPUT,
                "layout": "NCHW",
                "colour": "RGB",
                "range": [0, 255],
                "size": self.size,
                "resize": self.resize,
                "filter": self.filter,
            },
            "output": {"name": PROBABILITIES},
            "outputs": self.outputs,
            "calibration": {"method": "temperature", "temperature": self.temperature},
            "provenance": self.provenance,
        }

    @classmethod
    def from_onnx(cls, file: OnnxFile) -> "ModelCard":
        """Return the card in an ONNX file.

        Args:
            file: The file, opened.

        Raises:
            ModelError: There is no card, or this version can't read it.
        """
        text = file.metadata.get(METADATA_KEY)
        if text is None:
            problem = "carries no fruitcnn model card"
            raise ModelError(problem, value=file.path, remedy="export it with `fruitcnn export`")
        return cls.from_json(text, source=file.path)

    @classmethod
    def from_json(cls, text: str, *, source: object) -> "ModelCard":
        """Read a card.

        Args:
            text: The card as JSON.
            source: What errors name.

        Raises:
            ModelError: This version can't read the card.
        """
        try:
            fields = json.loads(text)
            _check_format(fields, source)
            if not isinstance(fields["labels"], list):
                raise TypeError("labels is no list")
            card = cls(
                labels=tuple(fields["labels"]),
                size=fields["input"]["size"],
                resize=fields["input"]["resize"],
                filter=fields["input"]["filter"],
                outputs=tuple(dict(output) for output in fields.get("outputs", [{"name": PROBABILITIES}])),
                temperature=float(fields["calibration"]["temperature"]),
                provenance=dict(fields["provenance"]),
            )
            card = dataclasses.replace(card, extra=_unknown(fields, card._fields()))
            card._check(source)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise _not_understood(source, f"is damaged ({type(error).__name__}: {error})") from error
        return card

    def _check(self, source: object) -> None:
        labels_fine = all(isinstance(label, str) and label for label in self.labels)
        if not labels_fine or len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            named = shortened(str(list(self.labels)), 200)
            raise _not_understood(source, f"does not name two or more different labels: {named}")
        names = [output.get("name") for output in self.outputs]
        grids = [output.get("grid", []) for output in self.outputs]
        if not all(isinstance(name, str) for name in names) or not all(isinstance(grid, list) for grid in grids):
            raise _not_understood(source, f"has outputs {names} with grids {grids}")
        if PROBABILITIES not in names or not 0 <= (self.refuse_below or 0) <= 1:
            raise _not_understood(source, f"has outputs {names}, refused below {self.refuse_below}")
        if type(self.size) is not int or not 1 <= self.size <= 4096:
            raise _not_understood(source, f"has input size {self.size!r}")
        if not 0 < self.temperature < float("inf"):
            raise _not_understood(source, f"has temperature {self.temperature}")
        if self.resize not in RESIZE_RULES:
            raise _not_understood(source, f"has resize rule {self.resize!r}, known: {', '.join(RESIZE_RULES)}")
        if self.filter not in tuple(FILTERS):
            raise _not_understood(source, f"has resize filter {self.filter!r}, known: {', '.join(FILTERS)}")


def _check_format(fields: dict[str, Any], source: object) -> None:
    """Formats of the same major number only add to it; a new one says that its readers must be new, too."""
    kind, _, version = str(fields["format"]).partition("/")
    major = version.partition(".")[0]
    if kind == FORMAT.partition("/")[0] and major.isdecimal() and int(major) > 1:
        provenance = fields.get("provenance")
        writer = provenance.get("fruitcnn") if isinstance(provenance, dict) else None
        wanted = f"'fruitcnn>={writer}'" if isinstance(writer, str) else "--upgrade fruitcnn"
        problem = f"its model card has the newer format {fields['format']}, this version reads {FORMAT}"
        raise ModelError(problem, value=source, remedy=f"run: pip install {wanted}")
    if kind != FORMAT.partition("/")[0] or major != "1":
        raise _not_understood(source, f"has format {fields['format']!r}, this version reads {FORMAT!r}")


def _unknown(found: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """What `found` has beyond `known`, inside its objects too."""
    inner = {
        key: _unknown(value, known[key])
        for key, value in found.items()
        if isinstance(value, dict) and isinstance(known.get(key), dict)
    }
    return {key: value for key, value in found.items() if key not in known} | {k: v for k, v in inner.items() if v}


def _merged(known: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """`known`, with what `_unknown` had found."""
    inner = {key: _merged(known[key], value) for key, value in extra.items() if isinstance(known.get(key), dict)}
    return {**extra, **known, **inner}


def _not_understood(source: object, what: str) -> ModelError:
    return ModelError(f"its model card {what}", value=source, remedy="export the model again, or update fruitcnn")
