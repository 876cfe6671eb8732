"""A loaded model: from pictures to typed results."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from fruitcnn.arrays import Float32Array
from fruitcnn.card import EVIDENCE, FAMILIARITY, INPUT, PROBABILITIES, ModelCard
from fruitcnn.checkpoint import find_model, model_name
from fruitcnn.errors import ImageError, ModelError, TransientError
from fruitcnn.identify.results import Identification, Rejection
from fruitcnn.image import SCALED_MARGIN, Picture, Pixels, Source, opened, read_bytes, source_name
from fruitcnn.onnx_file import check_onnx
from fruitcnn.runtime import Session, batches

T = TypeVar("T")
# Gets the bytes of a picture's file (b"" for what is none) and the decoded picture, the very one whose pixels are
# answered, in one of several threads.
Observer: TypeAlias = Callable[[bytes, Picture], T]

# Pictures that go through the network at once: large enough to use all cores, small enough to bound the memory.
_BATCH = 16
# How far the probabilities of a picture may be from summing to 1: a model in half precision is within it.
_SUM_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True)
class _Loaded(Generic[T]):
    """A picture at the model's size, what is wrong with it all the same, and what an observer made of it."""

    pixels: Pixels
    warning: str
    observed: T | None


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

    @property
    def has_familiarity(self) -> bool:
        """Whether the model says how like the known pictures one is."""
        return FAMILIARITY in self._session.outputs

    @property
    def has_evidence(self) -> bool:
        """Whether the model says where its answers come from."""
        return EVIDENCE in self._session.outputs

    def identity(self) -> dict[str, str]:
        """The model's name (of its checkpoint, or of its file) and the first 12 digits of its file's sha256."""
        from hashlib import sha256

        return {"name": model_name(self.file), "sha256": sha256(self.file.read_bytes()).hexdigest()[:12]}

    def identify(self, source: Source, *, evidence: bool = False) -> Identification:
        """Identify one picture: a path, encoded bytes, a PIL image or a uint8 array. Raises ImageError.

        evidence: with where the answer comes from; only for a model that `has_evidence`.
        """
        loaded: _Loaded[None] = self._load(source, None)
        return self._results([source_name(source)], [loaded], evidence)[0]

    def identify_many(
        self, sources: Iterable[Source], *, evidence: bool = False
    ) -> Iterator[Identification | Rejection]:
        """Identify pictures one after the other, in order; a bad one becomes a Rejection and stops nothing."""
        return (result for result, _ in self._identified(_several(sources), None, evidence))

    def observe_many(
        self, sources: Iterable[Source], observe: Observer[T], *, evidence: bool = False
    ) -> Iterator[tuple[Identification | Rejection, T | None]]:
        """The same, each with what `observe` makes of its file and its picture: read once and decoded once.

        None stands beside a Rejection; an ImageError that `observe` raises is one. The picture is closed when `observe`
        returns.
        """
        return self._identified(_several(sources), observe, evidence)

    def probabilities(self, pixels: Pixels) -> Float32Array:
        """Run the network on uint8 RGB pixels [N, S, S, 3]; float32 probabilities [N, C]."""
        return self._answers(pixels, [PROBABILITIES])[0]

    def evidence(self, pixels: Pixels) -> Float32Array:
        """Where the answers come from: float32 [N, C, h, w], whose mean over h and w is the logit of each class.

        pixels: uint8 RGB [N, S, S, 3]. Only for a model that `has_evidence`.
        """
        return self._session.answers([EVIDENCE], pixels)[0]

    def outputs(self, pixels: Pixels) -> dict[str, Float32Array]:
        """All that the card says of the network's answers to uint8 RGB pixels [N, S, S, 3], by name."""
        names = sorted((output["name"] for output in self.card.outputs), key=lambda name: name != PROBABILITIES)
        found = [self._answers(batch, names) for batch in batches(pixels, _BATCH)]
        return dict(zip(names, map(np.concatenate, zip(*found, strict=True)), strict=True))

    def _identified(
        self, sources: Iterator[Source], observe: Observer[T] | None, evidence: bool
    ) -> Iterator[tuple[Identification | Rejection, T | None]]:
        for group, loaded in self._loaded(sources, observe):
            named = list(zip(map(source_name, group), loaded, strict=True))
            good = [(name, item) for name, item in named if not isinstance(item, ImageError)]
            results = iter(self._results([name for name, _ in good], [item for _, item in good], evidence))
            for name, item in named:
                if isinstance(item, ImageError):
                    yield Rejection.of(name, item), None
                else:
                    yield next(results), item.observed

    def _loaded(
        self, sources: Iterator[Source], observe: Observer[T] | None
    ) -> Iterator[tuple[list[Source], list[_Loaded[T] | ImageError]]]:
        """The sources in groups, each with its pixels and observation, or what is wrong with it."""

        def load(source: Source) -> _Loaded[T] | ImageError:
            try:
                return self._load(source, observe)
            except ImageError as error:
                return error

        group = list(itertools.islice(sources, _BATCH))
        if len(group) == 1:
            # One picture needs no pool, whose import alone would cost a command start-up time.
            yield group, [load(group[0])]
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor() as pool:
            pending = [pool.submit(load, source) for source in group]
            while group:
                loaded = [future.result() for future in pending]
                # What failed for want of memory or file handles is tried again while no other picture is decoded.
                loaded = [
                    load(source) if isinstance(item, TransientError) else item
                    for source, item in zip(group, loaded, strict=True)
                ]
                # The next group is decoded while the network runs on this one.
                following = list(itertools.islice(sources, _BATCH))
                pending = [pool.submit(load, source) for source in following]
                yield group, loaded
                group = following

    def _load(self, source: Source, observe: Observer[T] | None) -> _Loaded[T]:
        card = self.card
        if observe is not None and isinstance(source, str | os.PathLike):
            source = read_bytes(Path(source))
        with opened(source, at_least=SCALED_MARGIN * card.size) as picture:
            pixels = picture.pixels(card.size, rule=card.resize, filter=card.filter)
            if observe is None:
                return _Loaded(pixels, picture.warning, None)
            observed = observe(source if isinstance(source, bytes) else b"", picture)
            return _Loaded(pixels, picture.warning, observed)

    def _results(self, names: list[str], loaded: Sequence[_Loaded[Any]], evidence: bool) -> list[Identification]:
        if not names:
            return []
        optional = {FAMILIARITY: self.has_familiarity, EVIDENCE: evidence}
        wanted = [PROBABILITIES, *(name for name, there in optional.items() if there)]
        answers: dict[str, Any] = dict(
            zip(wanted, self._answers(np.stack([item.pixels for item in loaded]), wanted), strict=True)
        )
        nothing = [None] * len(names)
        rows = zip(
            names,
            answers[PROBABILITIES].tolist(),
            answers[FAMILIARITY].tolist() if self.has_familiarity else nothing,
            answers.get(EVIDENCE, nothing),
            [item.warning for item in loaded],
            strict=True,
        )
        refuse_below = self.refuse_below or 0.0
        return [
            Identification(name, self.card.labels, tuple(row), familiarity, refuse_below, places, warning)
            for name, row, familiarity, places, warning in rows
        ]

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


def _several(sources: Iterable[Source]) -> Iterator[Source]:
    one = isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike | Image.Image)
    if one or (isinstance(sources, np.ndarray) and sources.ndim < 4):
        raise TypeError(f"one picture ({type(sources).__name__}) where several belong: give a list, or use identify()")
    return iter(sources)


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
