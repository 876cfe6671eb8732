"""One onnxruntime session around one model file, from pictures to typed results."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fruitcnn.arrays import Float32Array
from fruitcnn.card import EVIDENCE, FAMILIARITY, INPUT, PROBABILITIES, ModelCard
from fruitcnn.checkpoint import find_model, model_name
from fruitcnn.errors import ImageError, ModelError, TransientError
from fruitcnn.image import Pixels, Source, load_pixels, source_name
from fruitcnn.onnx_file import check_onnx
from fruitcnn.runtime import Session, batches

# The label of a picture that is unlike those that the model knows.
UNKNOWN = "unknown"

# Pictures that go through the network at once: large enough to use all cores, small enough to bound the memory.
_BATCH = 16
# How far the probabilities of a picture may be from summing to 1: a model in half precision is within it.
_SUM_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Identification:
    """What a model says of one picture.

    probabilities: they sum to 1 and stand in the order of `labels`. familiarity: the share of known pictures that are
    at most as familiar, None where the model does not say; below `refuse_below` the picture is unknown.
    """

    file: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    familiarity: float | None = None
    refuse_below: float = 0.0

    @property
    def identify_label(self) -> str:
        """The likeliest label, or `unknown` for a picture that is unlike those that the model knows."""
        if self.familiarity is not None and self.familiarity < self.refuse_below:
            return UNKNOWN
        return self.labels[max(range(len(self.labels)), key=self.probabilities.__getitem__)]

    @property
    def identify_rate(self) -> str:
        """The probability of the likeliest label as the original system prints it: `99.39%`."""
        return f"{max(self.probabilities):.2%}"

    @property
    def prediction(self) -> dict[str, str]:
        """Every label's percentage, in class order."""
        return {label: f"{p:.2%}" for label, p in zip(self.labels, self.probabilities, strict=True)}

    def top(self, count: int | None) -> "Identification":
        """The same, with only the `count` likeliest labels (still in class order); None keeps all."""
        # Of equals the first stays, as in identify_label.
        order = np.argsort(-np.array(self.probabilities), kind="stable")[:count]
        kept = sorted(order.tolist())
        return dataclasses.replace(
            self, labels=tuple(self.labels[i] for i in kept), probabilities=tuple(self.probabilities[i] for i in kept)
        )

    def to_dict(self) -> dict[str, Any]:
        """`file`, the original system's three keys, and as numbers the probabilities and (if any) the familiarity."""
        familiarity = {} if self.familiarity is None else {"familiarity": self.familiarity}
        return {
            "file": self.file,
            "identify_label": self.identify_label,
            "identify_rate": self.identify_rate,
            "prediction": self.prediction,
            "probabilities": dict(zip(self.labels, self.probabilities, strict=True)),
            **familiarity,
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


class Identifier:
    """A loaded model. Safe to share between threads: the session is, and nothing else changes."""

    def __init__(self, session: Session, card: ModelCard) -> None:
        self.card = card
        self.file = session.file
        self.refuse_below = card.refuse_below
        self._session = session

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, once: bool = False) -> "Identifier":
        """Load a checkpoint directory or an .onnx file; None is the newest run, else the shipped model.

        once: it is to identify one picture: loaded in half the time, with 25 MB less, and half as fast afterwards.
        Raises ModelError where there is no model, or one that this version does not understand.
        """
        file = check_onnx(find_model(path))
        card = ModelCard.from_onnx(file)
        session = Session(file, once=once)
        _check_shapes(session, card)
        return cls(session, card)

    def identify(self, source: Source) -> Identification:
        """Identify one picture: a path, encoded bytes, a PIL image or a uint8 array. Raises ImageError."""
        pixels = self._pixels(source)
        return self._results([source_name(source)], [pixels])[0]

    def identify_many(self, sources: Iterable[Source]) -> Iterator[Identification | Rejection]:
        """Identify pictures one after the other, in order; a bad one becomes a Rejection and stops nothing."""
        sources = iter(sources)
        batch = list(itertools.islice(sources, _BATCH))
        if len(batch) == 1:
            # One picture needs no pool, whose import alone would cost a command start-up time.
            yield from self._in_order(batch, [self._try_pixels(batch[0])])
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:
            pending = [pool.submit(self._try_pixels, source) for source in batch]
            while batch:
                decoded = [future.result() for future in pending]
                # What failed for want of memory or file handles is tried again while no other picture is decoded.
                decoded = [
                    self._try_pixels(source) if isinstance(pixels, TransientError) else pixels
                    for source, pixels in zip(batch, decoded, strict=True)
                ]
                # The next batch is decoded while the network runs on this one.
                following = list(itertools.islice(sources, _BATCH))
                pending = [pool.submit(self._try_pixels, source) for source in following]
                yield from self._in_order(batch, decoded)
                batch = following

    def probabilities(self, pixels: Pixels) -> Float32Array:
        """Run the network on uint8 RGB pixels [N, S, S, 3]; float32 probabilities [N, C]."""
        return self._answers(pixels, [PROBABILITIES])[0]

    def outputs(self, pixels: Pixels) -> dict[str, Float32Array]:
        """All that the card says of the network's answers to uint8 RGB pixels [N, S, S, 3], by name."""
        names = sorted((output["name"] for output in self.card.outputs), key=lambda name: name != PROBABILITIES)
        found = [self._answers(batch, names) for batch in batches(pixels, _BATCH)]
        return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))

    @property
    def has_familiarity(self) -> bool:
        """Whether the model says how like the known pictures one is."""
        return FAMILIARITY in self._session.outputs

    @property
    def has_evidence(self) -> bool:
        """Whether the model says where its answers come from."""
        return EVIDENCE in self._session.outputs

    def evidence(self, pixels: Pixels) -> Float32Array:
        """Where the answers come from: float32 [N, C, h, w], whose mean over h and w is the logit of each class.

        pixels: uint8 RGB [N, S, S, 3]. Only for a model that `has_evidence`.
        """
        return self._session.answers([EVIDENCE], pixels)[0]

    def _answers(self, pixels: Pixels, names: list[str]) -> list[Float32Array]:
        """Outputs of which the first is the probabilities. Raises ModelError where they are none."""
        results = self._session.answers(names, pixels)
        # Written so that what is not a number fails too.
        sums = results[0].sum(axis=1)
        if not (np.all(results[0] >= 0) and np.all(np.abs(sums - 1) <= _SUM_TOLERANCE)):
            raise ModelError(
                "answers with what are no probabilities", value=self.file, remedy="train or export it again"
            )
        return results

    def identity(self) -> dict[str, str]:
        """The model's name (of its checkpoint, or of its file) and the first 12 digits of its file's sha256."""
        from hashlib import sha256

        return {"name": model_name(self.file), "sha256": sha256(self.file.read_bytes()).hexdigest()[:12]}

    def _in_order(
        self, sources: list[Source], decoded: list[Pixels | ImageError]
    ) -> Iterator[Identification | Rejection]:
        good = [(source_name(s), d) for s, d in zip(sources, decoded, strict=True) if not isinstance(d, ImageError)]
        results = iter(self._results([name for name, _ in good], [pixels for _, pixels in good]))
        for source, item in zip(sources, decoded, strict=True):
            yield Rejection.of(source_name(source), item) if isinstance(item, ImageError) else next(results)

    def _results(self, names: list[str], pixels: list[Pixels]) -> list[Identification]:
        if not names:
            return []
        wanted = [PROBABILITIES, *([FAMILIARITY] if self.has_familiarity else [])]
        rows, *familiarity = (values.tolist() for values in self._answers(np.stack(pixels), wanted))
        known: list[float | None] = familiarity[0] if familiarity else [None] * len(names)
        return [
            Identification(name, self.card.labels, tuple(row), share, self.refuse_below or 0.0)
            for name, row, share in zip(names, rows, known, strict=True)
        ]

    def _pixels(self, source: Source) -> Pixels:
        return load_pixels(source, self.card.size, rule=self.card.resize, filter=self.card.filter)

    def _try_pixels(self, source: Source) -> Pixels | ImageError:
        try:
            return self._pixels(source)
        except ImageError as error:
            return error


def _check_shapes(session: Session, card: ModelCard) -> None:
    batch = next(iter(session.inputs.values()))[:1]
    if batch and isinstance(batch[0], int):
        raise ModelError(
            f"takes {batch[0]} pictures at a time, no more and no fewer",
            value=session.file,
            remedy="export it with a batch of any size",
        )
    shapes = {name: shape[1:] for name, shape in (session.inputs | session.outputs).items()}
    # What the file has beyond that is for others.
    if any(shapes.get(name) != shape for name, shape in card.shapes().items()) or set(session.inputs) != {INPUT}:
        raise ModelError(f"its graph and its card disagree ({shapes})", value=session.file, remedy="export it again")
